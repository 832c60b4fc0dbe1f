// Package browsertest runs a real Firefox or Chromium for a test, without a display, and uses it as a person does.
//
// [Firefox] and [Chromium] start a browser with an empty profile. Both end with the test. [Browser.Open] opens a page, whose methods are
// the same in both browsers. A method that fails ends the test. When a test has failed, a screenshot of each open page is written to the
// folder that BROWSER_SCREENSHOTS names, and the log says where.
//
// # How browsers are controlled
//
// Firefox is controlled with WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), and Chromium with the DevTools Protocol
// (https://chromedevtools.github.io/devtools-protocol/). Both need only a websocket. Marionette and a display are not needed: Firefox 153
// without a display receives pushes, keeps their notifications, and lets BiDi read them back. BiDi has no command for the colour scheme, so
// [Page.Scheme] sets it from Firefox's own scope, which --remote-allow-system-access permits.
//
// # The network
//
// A browser of this package reaches loopback only. The names of [Hosts] lead there too. Certificates are not verified. Firefox uses the
// push service of [PushService]. Chromium has no push service: [Browser.Push] hands a message to a worker.
//
// # What must be installed
//
// Debian's packages firefox-esr and chromium, and axe.min.js of the npm package axe-core, whose path is in AXE_CORE. A test that
// lacks any of them is skipped, unless CI_REQUIRE_BROWSERS is set.
package browsertest
