package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// firefox controls Firefox with WebDriver BiDi. A page's id is that of its browsing context.
type firefox struct {
	*connection
	chrome string // the browsing context of the browser's own window
}

func (f *firefox) command(profile string, s settings) (*exec.Cmd, string, error) {
	program, err := find("firefox-esr")
	if err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(preferences(s)), 0o600); err != nil {
		return nil, "", err
	}
	arguments := []string{
		"--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0", "--remote-allow-system-access", "about:blank",
	}
	command := exec.Command(program, arguments...) //nolint:gosec,noctx // a test's own; it ends with the test
	return command, "WebDriver BiDi listening on ", nil
}

// preferences returns the content of the profile's user.js. BiDi itself adds those that every automated Firefox needs:
// https://searchfox.org/mozilla-central/source/remote/shared/RecommendedPreferences.sys.mjs.
func preferences(s settings) string {
	values := map[string]any{
		// Nothing but loopback is reached: everything else goes to a proxy that is not there. Loopback never goes to a proxy.
		"network.proxy.type":          1,
		"network.proxy.http":          "127.0.0.1",
		"network.proxy.http_port":     9,
		"network.proxy.ssl":           "127.0.0.1",
		"network.proxy.ssl_port":      9,
		"network.proxy.no_proxies_on": strings.Join(s.hosts, ","),
		"network.dns.localDomains":    strings.Join(s.hosts, ","),

		"permissions.default.desktop-notification":      1,
		"alerts.useSystemBackend":                       false,  // there is no desktop
		"dom.webnotifications.disable_open_click_delay": 60_000, // ms after a click in which a worker may open a window
		"dom.push.testing.allowInsecureServerURL":       true,   // for ws:
		"dom.push.retryBaseInterval":                    100,
		"dom.push.connection.enabled":                   s.pushService != "",
		"dom.push.serverURL":                            s.pushService,

		"ui.useOverlayScrollbars": 1, // screenshots are as wide as the viewport
		"browser.startup.page":    0,
	}
	var lines []string
	for name, value := range values {
		encoded, _ := json.Marshal(value) //nolint:errchkjson // strings, numbers and booleans
		lines = append(lines, fmt.Sprintf("user_pref(%q, %s);\n", name, encoded))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (f *firefox) attach(ctx context.Context, url string, _ settings) (err error) {
	if f.connection, err = connect(ctx, url+"/session", func(string, json.RawMessage) {}); err != nil {
		return err
	}
	capabilities := map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}
	if err := f.call(ctx, "", "session.new", map[string]any{"capabilities": capabilities}, nil); err != nil {
		return err
	}
	var tree struct{ Contexts []struct{ Context string } }
	if err := f.call(ctx, "", "browsingContext.getTree", map[string]any{"moz:scope": "chrome"}, &tree); err != nil {
		return err
	}
	if len(tree.Contexts) == 0 {
		return errors.New("there is no browser window")
	}
	f.chrome = tree.Contexts[0].Context
	_, err = f.evaluate(ctx, f.chrome, keepAlerts)
	return err
}

// keepAlerts makes Firefox show a notification until it is closed or clicked on, and marks its window once it is shown. Without it, Firefox
// closes each after 20 seconds. The code of its window is in https://searchfox.org/mozilla-central/source/toolkit/components/alerts/resources/content/alert.js.
const keepAlerts = `Services.ww.registerNotification((opened, topic) => {
	if (topic === "domwindowopened") opened.addEventListener("AlertActive", () => {
		opened.document.getElementById("alertBox").removeAttribute("animate");
		opened.document.documentElement.setAttribute("shown", "");
	});
}), ""`

func (f *firefox) quit(ctx context.Context) {
	if f.connection == nil {
		return
	}
	_ = f.call(ctx, "", "browser.close", nil, nil)
	f.close()
	f.connection = nil
}

func (f *firefox) open(ctx context.Context) (string, error) {
	var created struct{ Context string }
	err := f.call(ctx, "", "browsingContext.create", map[string]any{"type": "tab"}, &created)
	return created.Context, err
}

func (f *firefox) closePage(ctx context.Context, id string) error {
	return f.call(ctx, "", "browsingContext.close", map[string]any{"context": id}, nil)
}

func (f *firefox) navigate(ctx context.Context, id, url string) error {
	return f.call(ctx, "", "browsingContext.navigate", map[string]any{"context": id, "url": url, "wait": "complete"}, nil)
}

func (f *firefox) evaluate(ctx context.Context, id, expression string) (string, error) {
	var answer struct {
		Result           struct{ Value string }
		ExceptionDetails *struct{ Text string }
	}
	err := f.call(ctx, "", "script.evaluate", map[string]any{
		"expression": expression, "target": map[string]any{"context": id}, "awaitPromise": true,
	}, &answer)
	if err == nil && answer.ExceptionDetails != nil {
		err = errors.New(answer.ExceptionDetails.Text)
	}
	return answer.Result.Value, err
}

// act performs actions of one input device.
func (f *firefox) act(ctx context.Context, id, device string, actions []map[string]any) error {
	if err := f.call(ctx, "", "browsingContext.activate", map[string]any{"context": id}, nil); err != nil {
		return err
	}
	return f.call(ctx, "", "input.performActions", map[string]any{
		"context": id, "actions": []map[string]any{{"type": device, "id": device, "actions": actions}},
	}, nil)
}

func (f *firefox) click(ctx context.Context, id string, x, y float64) error {
	return f.act(ctx, id, "pointer", []map[string]any{
		{"type": "pointerMove", "x": int(x), "y": int(y)},
		{"type": "pointerDown", "button": 0},
		{"type": "pointerUp", "button": 0},
	})
}

// https://www.w3.org/TR/webdriver2/#keyboard-actions
const control = "\ue009"

var firefoxKeys = map[Key]string{Enter: "\ue007", Escape: "\ue00c", Tab: "\ue004"}

func (f *firefox) press(ctx context.Context, id string, keys []Key) error {
	var actions []map[string]any
	for _, key := range keys {
		value := string(key)
		if special, ok := firefoxKeys[key]; ok {
			value = special
		}
		actions = append(actions, map[string]any{"type": "keyDown", "value": value}, map[string]any{"type": "keyUp", "value": value})
	}
	return f.act(ctx, id, "key", actions)
}

func (f *firefox) selectAll(ctx context.Context, id string) error {
	return f.act(ctx, id, "key", []map[string]any{
		{"type": "keyDown", "value": control},
		{"type": "keyDown", "value": "a"},
		{"type": "keyUp", "value": "a"},
		{"type": "keyUp", "value": control},
	})
}

func (f *firefox) viewport(ctx context.Context, id string, width, height int) error {
	return f.call(ctx, "", "browsingContext.setViewport", map[string]any{
		"context": id, "viewport": map[string]any{"width": width, "height": height},
	}, nil)
}

func (f *firefox) scheme(ctx context.Context, id, scheme string) error {
	_, err := f.until(ctx, `NavigableManager.getBrowsingContextById(`+quote(id)+`).prefersColorSchemeOverride = `+quote(scheme))
	return err
}

// until waits until an expression in Firefox's own scope is neither false nor empty, and returns its value.
func (f *firefox) until(ctx context.Context, expression string) (string, error) {
	return f.evaluate(ctx, f.chrome, `(async () => {
		const {NavigableManager} = ChromeUtils.importESModule("chrome://remote/content/shared/NavigableManager.sys.mjs");
		for (;;) {
			const value = `+expression+`;
			if (value) return String(value);
			await new Promise(done => setTimeout(done, 20));
		}
	})()`)
}

func (f *firefox) forbidScripts(context.Context, string) error {
	return errors.New("a test cannot look into a page of Firefox that runs no scripts")
}

func (f *firefox) screenshot(ctx context.Context, id string) (string, error) {
	var image struct{ Data string }
	err := f.call(ctx, "", "browsingContext.captureScreenshot", map[string]any{"context": id, "origin": "document"}, &image)
	return image.Data, err
}

func (f *firefox) deny(ctx context.Context, origin string) error {
	return f.call(ctx, "", "permissions.setPermission", map[string]any{
		"descriptor": map[string]any{"name": "notifications"}, "state": "denied", "origin": origin,
	}, nil)
}

// clickNotification clicks on the window of a notification. Firefox without a desktop opens one for each.
func (f *firefox) clickNotification(ctx context.Context, title string) error {
	_, err := f.until(ctx, `[...Services.wm.getEnumerator("alert:alert")].some(w => {
		const found = w.document.documentElement?.hasAttribute("shown") &&
			w.document.getElementById("alertTitleLabel").value === `+quote(title)+`;
		if (found) w.document.getElementById("alertBox").click();
		return found;
	})`)
	return err
}

// opened waits for a tab that is not known, and returns its id.
func (f *firefox) opened(ctx context.Context, url string, known []string) (id string, err error) {
	ids, _ := json.Marshal(known) //nolint:errchkjson // strings
	return f.until(ctx, `gBrowser.browsers
		.filter(b => b.currentURI.spec === `+quote(url)+` && !b.webProgress.isLoadingDocument)
		.map(b => NavigableManager.getIdForBrowser(b))
		.find(id => !`+string(ids)+`.includes(id))`)
}

func (f *firefox) push(context.Context, string, string) error {
	return errors.New("Firefox receives pushes only from a push service")
}
