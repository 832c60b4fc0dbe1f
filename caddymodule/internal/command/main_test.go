package command

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write what the commands print into testdata")

// today is the current time in these tests.
var today = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// canary is a pushkey that must never be printed.
const canary = "CANARY-f00d"

// api is an admin API. It answers each route with the route's next answer, and repeats the last one.
type api struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string][]string
	// requests are the requests it got: method, path and body.
	requests []string
}

// failing is an answer with a status other than 200.
func failing(status int, body string) string { return http.StatusText(status) + "\n" + body }

func newAPI(t *testing.T, answers map[string][]string) *api {
	t.Helper()
	a := &api{answers: answers}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	request := strings.TrimPrefix(r.URL.RequestURI(), "/matrix_push/")
	a.requests = append(a.requests, strings.TrimSpace(r.Method+" "+request+" "+string(body)))
	path, _, _ := strings.Cut(request, "?")
	next := a.answers[path]
	if len(next) == 0 {
		http.NotFound(w, r)
		return
	}
	if len(next) > 1 {
		a.answers[path] = next[1:]
	}
	for _, status := range []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable, http.StatusInternalServerError} {
		if text, ok := strings.CutPrefix(next[0], http.StatusText(status)+"\n"); ok {
			w.WriteHeader(status)
			next[0] = text
		}
	}
	_, _ = io.WriteString(w, next[0]+"\n")
}

// ran is the result of a command.
type ran struct {
	out, err string
	code     int
}

// world is the environment of a command.
type world struct {
	stdin string
	// in replaces stdin, if it is not nil.
	in       *os.File
	terminal bool
	// columns is the width of the output; 0 if it is not known.
	columns int
	inspect func(caddy.Context) (*Plan, error)
}

// run runs the command as Caddy does.
func (w world) run(t *testing.T, args ...string) ran {
	t.Helper()
	p := &program{
		now:      func() time.Time { return today },
		terminal: func(io.Writer) bool { return w.terminal },
		width:    func(io.Writer) int { return w.columns },
		inspect:  w.inspect,
	}
	root := w.root(t, p)
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(w.stdin))
	if w.in != nil {
		root.SetIn(w.in)
	}
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"matrix-push"}, args...))
	err := root.ExecuteContext(t.Context())
	if (err != nil) != (p.code != 0) {
		t.Errorf("the exit code is %d with the error %v", p.code, err)
	}
	if strings.Contains(out.String()+errs.String(), canary) {
		t.Errorf("the pushkey is printed:\n%s%s", &out, &errs)
	}
	return ran{out.String(), errs.String(), p.code}
}

// root returns Caddy's command with the gateway's, and its own end of help texts.
func (world) root(t *testing.T, p *program) *cobra.Command {
	t.Helper()
	cmd := &cobra.Command{Use: "matrix-push <command>"}
	p.addTo(cmd)
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	root.SetHelpTemplate(root.HelpTemplate() + "\nFull documentation is available at:\nhttps://caddyserver.com/docs/command-line\n")
	root.AddCommand(cmd)
	return root
}

// ask runs a command against an admin API.
func (w world) ask(t *testing.T, a *api, args ...string) ran {
	t.Helper()
	return w.run(t, append(args, "--address", strings.TrimPrefix(a.URL, "http://"))...)
}

// golden compares the output with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("printed:\n%s\nwant:\n%s", got, want)
	}
}

func (r ran) want(t *testing.T, code int, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("it ends with %d, want %d:\n%s%s", r.code, code, r.out, r.err)
	}
	for _, part := range parts {
		if !strings.Contains(r.out+r.err, part) {
			t.Errorf("it does not print %q:\n%s%s", part, r.out, r.err)
		}
	}
}

func (a *api) want(t *testing.T, requests ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.requests, requests) {
		t.Errorf("asked were\n%s\nwant\n%s", strings.Join(a.requests, "\n"), strings.Join(requests, "\n"))
	}
}
