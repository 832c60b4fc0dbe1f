package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// hurry makes the page's script look for news each 100 ms instead of each 5 s, and counts how often it has looked.
const hurry = `(() => {
	const usual = setTimeout;
	window.looks = 0;
	window.setTimeout = (what, after) => { looks++; return usual(what, Math.min(after, 100)) };
})()`

// keepsStill wants the page to show what it showed, although its script has looked for news several times.
func (p uiPage) keepsStill(why string) {
	p.session.t.Helper()
	before := p.Text("main")
	var looks int
	p.Evaluate("looks", &looks)
	p.Wait("looks >= " + strconv.Itoa(looks+5))
	if p.Text("main") != before {
		p.session.t.Errorf("%s, the page has changed", why)
	}
}

func TestV43_ThePageShowsNewsUnlessThatDisturbs(t *testing.T) {
	t.Parallel()
	inUIBrowsers(t, func(t *testing.T, b *browsertest.Browser) {
		s := newSafeScene(t, "")
		p := s.gateway.startUI("unix/" + s.gateway.dir + "/admin.sock").typed(b)
		p.Evaluate(hurry, nil)
		phone := s.phone("phone")
		arrived := 0
		push := func() (total string) {
			t.Helper()
			arrived++
			wantBody(t, s.notify("$"+strconv.Itoa(arrived), phone), nothingRejected)
			return strconv.Itoa(arrived) + " delivered"
		}
		p.WaitText("main", push())

		p.Click("#minutes summary")
		p.WaitText("main", push())
		var kept bool
		if p.Evaluate(`document.getElementById("minutes").open && document.activeElement.matches("#minutes summary")`, &kept); !kept {
			t.Error("what was open is closed, or the focus is lost")
		}

		p.Type("#filter", "soon")
		news := push()
		p.keepsStill("while somebody fills in a form")
		p.Click("h1")
		p.WaitText("main", news)

		p.Evaluate(`getSelection().selectAllChildren(document.querySelector("h1"))`, nil)
		news = push()
		p.keepsStill("while text is selected")
		p.Evaluate(`getSelection().removeAllRanges()`, nil)
		p.WaitText("main", news)

		p.Click(".pause")
		p.Click("h1")
		news = push()
		p.keepsStill("after a click on Pause")
		p.Click(".pause")
		p.WaitText("main", news)
	})
}

func TestV44_ThePageSaysWhenTheGatewayIsGoneAndRecovers(t *testing.T) {
	t.Parallel()
	inUIBrowsers(t, func(t *testing.T, b *browsertest.Browser) {
		s := newSafeScene(t, "")
		address := "unix/" + s.gateway.dir + "/admin.sock"
		session := s.gateway.startUI(address)
		p := session.typed(b)
		p.Evaluate(hurry, nil)
		wantBody(t, s.notify("$1", s.phone("phone")), nothingRejected)
		p.WaitText("main", "1 delivered")

		s.kill()
		p.WaitText("#refreshing", "cannot be reached")
		p.WaitText("#refreshing", "This page shows the state of ")
		p.shows("1 delivered", "The gateway is ready.")
		const old = `document.querySelector("main").matches(".old main")`
		p.Wait(old)
		s.start()
		p.Wait(`!document.getElementById("refreshing").innerText && !(` + old + `)`)
		p.WaitText("main", "No push in the last hour")

		s.kill()
		p.Navigate(session.pages + "/")
		p.shows("The gateway cannot be asked", "Check that Caddy is running")
		p.Evaluate(hurry, nil)
		s.start()
		p.WaitText("main", "The gateway is ready.")
		p.Wait(`document.title.startsWith("Overview") && !document.getElementById("refreshing").innerText`)

		if code := session.end(); code != 0 {
			t.Errorf("the exit code is %d", code)
		}
		p.WaitText("#refreshing", "The command that serves this page has ended.")
		other := answerAt(t, session.port(), `<title>Other</title><main id="main" data-refresh>Another program</main>`)
		p.WaitText("#refreshing", "another program answers at its address. Close this page.")
		p.Wait(`!document.querySelector(".pause")`)
		p.shows("The gateway is ready.")
		other()
		again := s.gateway.startUI(address, "--port", session.port())
		refused(t, b.Open(session.url), "no session")
		again.typed(b).shows("The gateway is ready.")
	})
}

// answerAt serves a page at all paths of a port of 127.0.0.1, and returns a function that ends that.
func answerAt(t *testing.T, port, page string) (end func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, page)
	})}}
	server.Start()
	t.Cleanup(server.Close)
	return server.Close
}

func TestV45_ThePageExplainsAnAdminEndpointThatIsNoneOrOfAnotherVersion(t *testing.T) {
	t.Parallel()
	b := browsertest.Firefox(t)
	for name, tt := range map[string]struct {
		address string
		texts   []string
	}{
		"not there":             {"127.0.0.1:" + strconv.Itoa(freePort(t)), []string{"The gateway cannot be asked", "cannot be reached", "Check that Caddy is running", "--address"}},
		"hanging":               {hangingAdmin(t), []string{"The gateway cannot be asked", "did not answer in time"}},
		"a web site":            {adminAnswering(t, "<!doctype html><title>hello</title>", nil), []string{"sent an unexpected answer"}},
		"Caddy without gateway": {adminAnswering(t, "", nil), []string{"does this Caddy include the gateway?"}},
		"an older gateway":      {adminAnswering(t, "", map[string]string{"apps": `{"status":"ready","apps":[{"app":"org.example.old"}]}`}), []string{"org.example.old", "it is older than this command"}},
		"a newer gateway":       {adminAnswering(t, "", map[string]string{"apps": `{"status":"degraded","apps":[]}`}), []string{"it may be newer than this command"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newProcess(t).startUI(tt.address)
			p := uiPage{b.Open(s.url + s.once), s}
			p.shows(tt.texts...)
			p.follow(`nav a[href$="/pushkeys"]`, "Find a device by its hash")
		})
	}
}

// hangingAdmin returns the address of a server that takes connections, and never answers.
func hangingAdmin(t *testing.T) string {
	t.Helper()
	return serveAdmin(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// adminAnswering returns the address of a server that answers some routes of the admin API. Everything else is not found, or has a text.
func adminAnswering(t *testing.T, text string, routes map[string]string) string {
	t.Helper()
	return serveAdmin(t, func(w http.ResponseWriter, r *http.Request) {
		answer, ok := routes[strings.TrimPrefix(r.URL.Path, "/matrix_push/")]
		if !ok && text == "" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(answer + text))
	})
}
