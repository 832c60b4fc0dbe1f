package browsertest_test

import (
	"bytes"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// browsers has the function of each browser.
var browsers = map[string]func(testing.TB, ...browsertest.Option) *browsertest.Browser{
	"Firefox": browsertest.Firefox, "Chromium": browsertest.Chromium,
}

// inEach runs a test in each browser, with the URL of a server.
func inEach(t *testing.T, test func(t *testing.T, b *browsertest.Browser, url string), options ...browsertest.Option) {
	t.Helper()
	for name, start := range browsers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, options...), serve(t))
		})
	}
}

// serve serves the files in testdata under a policy that is as strict as a policy can be, and at /site what the browser said about itself.
func serve(t *testing.T) (url string) {
	t.Helper()
	files := http.FileServer(http.Dir("testdata"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy",
			"default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; frame-ancestors 'none'")
		if r.URL.Path == "/site" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<!doctype html><title>site</title><p>" + r.Header.Get("Sec-Fetch-Site") + r.Referer() + " " + r.Host))
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func TestAPersonTypesAndClicks(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, b *browsertest.Browser, url string) {
		p := b.Open(url + "/page.html")
		p.Type("#name", "Zoë & 🦊 <1>")
		p.Click("#greet")
		p.WaitText("#greeting", "Hello Zoë & 🦊 <1>")
		p.Type("#name", "you")
		p.Press(browsertest.Tab)
		var focused string
		if p.Evaluate(`document.activeElement.id`, &focused); focused != "greet" {
			t.Errorf("after Tab, the focus is at %q", focused)
		}
		p.Press(browsertest.Enter)
		p.WaitText("#greeting", "Hello you")
		if text := p.Text("#greeting"); text != "Hello you" {
			t.Errorf("the text is %q", text)
		}
	})
}

func TestAClickWaitsUntilTheElementIsAtRest(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, b *browsertest.Browser, url string) {
		p := b.Open(url + "/page.html")
		p.Evaluate(`void document.querySelector("#greet").animate(
			{transform: ["none", "translateY(300px)"]}, {duration: 100, iterations: 20, direction: "alternate"})`, nil)
		p.Click("#greet")
		p.WaitText("#greeting", "Hello before")
	})
}

func TestAnAddressIsTyped(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, b *browsertest.Browser, url string) {
		p := b.Open(url + "/page.html")
		p.Navigate(url + "/site")
		if site := p.Text("p"); !strings.HasPrefix(site, "none localhost:") {
			t.Errorf("the request came from %q", site)
		}
		if p.Status() != http.StatusOK || p.URL() != url+"/site" {
			t.Errorf("%d at %s", p.Status(), p.URL())
		}
		p.Navigate(url + "/nothing")
		if p.Status() != http.StatusNotFound {
			t.Errorf("the status is %d", p.Status())
		}
		p.Navigate(strings.Replace(url, "localhost", "rebound.test", 1) + "/site")
		if site := p.Text("p"); !strings.HasPrefix(site, "rebound.test:") {
			t.Errorf("the request came to %q", site)
		}
	}, browsertest.Hosts("rebound.test"))
}

func TestScreenshotsShowTheWholePageInAScheme(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, b *browsertest.Browser, url string) {
		p, other := b.Open(url+"/page.html"), b.Open(url+"/page.html")
		for _, width := range []int{390, 1280} {
			p.Viewport(width, 800)
			for scheme, white := range map[string]bool{browsertest.Light: true, browsertest.Dark: false} {
				p.Scheme(scheme)
				image, err := png.Decode(bytes.NewReader(p.Screenshot()))
				if err != nil {
					t.Fatal(err)
				}
				size := image.Bounds().Size()
				if size.X != width || size.Y < 2000 {
					t.Errorf("the screenshot has the size %v", size)
				}
				if red, _, _, _ := image.At(size.X-2, size.Y-2).RGBA(); (red == 0xffff) != white {
					t.Errorf("in %s, the page's end has the red %x", scheme, red)
				}
			}
		}
		other.Scheme(browsertest.Light)
		other.Close()
	})
}

func TestAxeFindsViolationsBehindAStrictPolicy(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, b *browsertest.Browser, url string) {
		p := b.Open(url + "/page.html")
		if violations := p.Axe(); len(violations) > 0 {
			t.Errorf("axe-core finds in a good page:\n%s", strings.Join(violations, "\n"))
		}
		p.Navigate(url + "/bad.html")
		violations := strings.Join(p.Axe(), "\n")
		for _, want := range []string{"html-has-lang (serious): ", "image-alt (critical): "} {
			if !strings.Contains(violations, want) {
				t.Errorf("axe-core does not find %s:\n%s", want, violations)
			}
		}
	})
}

func TestOnlyLoopbackIsReached(t *testing.T) {
	t.Parallel()
	elsewhere := beyondLoopback(t)
	inEach(t, func(t *testing.T, b *browsertest.Browser, _ string) {
		p := b.Open("about:blank")
		var reached bool
		if p.Evaluate(`fetch("`+elsewhere+`", {mode: "no-cors"}).then(() => true, () => false)`, &reached); reached {
			t.Error("it reaches other addresses")
		}
	})
}

// beyondLoopback serves at an address of this machine that is not loopback, and returns its URL.
func beyondLoopback(t *testing.T) (url string) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		ip, ok := address.(*net.IPNet)
		if !ok || ip.IP.To4() == nil || !ip.IP.IsGlobalUnicast() {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(ip.IP.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		_ = server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		return server.URL
	}
	t.Skip("this machine has only loopback")
	return ""
}

const register = `navigator.serviceWorker.register("worker.js").then(() => navigator.serviceWorker.ready)`

func TestChromiumHandsAPushToAWorker(t *testing.T) {
	t.Parallel()
	url := serve(t)
	b := browsertest.Chromium(t)
	p := b.Open(url + "/page.html")
	var permission string
	if p.Evaluate(register+`.then(() => Notification.permission)`, &permission); permission != "granted" {
		t.Errorf("the permission is %s", permission)
	}
	p.Close()
	b.Push(url+"/", "a text")
	p = b.Open(url + "/page.html")
	want := []browsertest.Notification{{Title: "A push", Body: "a text", Tag: "t", Data: []byte(`{"n":1}`)}}
	if shown := p.WaitNotifications(1); !reflect.DeepEqual(shown, want) {
		t.Errorf("it shows %+v", shown)
	}
}

func TestThePermissionToNotifyIsDenied(t *testing.T) {
	t.Parallel()
	for name, start := range browsers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, b := serve(t), start(t)
			b.Deny(url)
			p := b.Open(url + "/page.html")
			var permission string
			if p.Evaluate(`Notification.requestPermission()`, &permission); permission != "denied" {
				t.Errorf("the permission is %s", permission)
			}
		})
	}
}

func TestTheProfileSurvivesARestart(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, b *browsertest.Browser, url string) {
		p := b.Open(url + "/page.html")
		p.Evaluate(`localStorage.setItem("kept", "yes")`, nil)
		b.Restart()
		p = b.Open(url + "/page.html")
		var kept string
		if p.Evaluate(`localStorage.getItem("kept")`, &kept); kept != "yes" {
			t.Errorf("the storage has %q", kept)
		}
	})
}

func TestChromiumRunsNoScripts(t *testing.T) {
	t.Parallel()
	url := serve(t)
	p := browsertest.Chromium(t).Open("about:blank")
	p.ForbidScripts()
	p.Navigate(url + "/page.html")
	p.Type("#name", "Zoë")
	p.Click("#greet") // only its script keeps the form from being sent
	p.Wait(`location.href.endsWith("?")`)
	if text := p.Text("#greeting"); strings.Contains(text, "Zoë") {
		t.Errorf("the page's script has run: %q", text)
	}
}

func TestAClickOnANotificationOpensAPage(t *testing.T) {
	t.Parallel()
	url := serve(t)
	b := browsertest.Firefox(t)
	p := b.Open(url + "/page.html")
	p.Evaluate(register, nil)
	for _, title := range []string{"One", "Two"} {
		p.Evaluate(`navigator.serviceWorker.ready.then(r => r.showNotification("`+title+`"))`, nil)
	}
	b.ClickNotification("Two")
	if title := b.Opened(url + "/bad.html").Text("h1"); title != "A bad page" {
		t.Errorf("it opened %s", title)
	}
	if shown := p.Notifications(); len(shown) != 1 || shown[0].Title != "One" {
		t.Errorf("it still shows %+v", shown)
	}
}
