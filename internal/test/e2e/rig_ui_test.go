package e2e

import (
	"bufio"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// uiSession is the page of `caddy matrix-push ui`, with the browser that has its session. What it shows, and all of its URLs, are kept like
// a log.
type uiSession struct {
	t       *testing.T
	command command
	kept    *os.File
	browser *http.Client
	// url is the page's address without a path. once is the path that works once. pages is the address that all pages are below, when the
	// browser knows it.
	url, once, pages string
}

// ui runs the command for an admin endpoint, and opens the URL that it prints.
func (p *process) ui(address string) *uiSession {
	p.t.Helper()
	s := p.startUI(address)
	if got := s.ask(http.MethodGet, s.url+s.once, nil); !strings.Contains(got, "<main") {
		p.t.Fatalf("the URL shows %s", got)
	}
	return s
}

// startUI runs the command for an admin endpoint, and does not open the URL that it prints as JSON.
func (p *process) startUI(address string, flags ...string) *uiSession {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	s := &uiSession{
		t: p.t, command: p.command(append([]string{"matrix-push", "ui", "--json", "--address", address}, flags...)...), kept: p.kept("the page in the browser"),
		browser: &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{}},
	}
	s.command.Stderr = s.kept
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if s.command.ProcessState == nil {
			s.end()
		}
		s.browser.CloseIdleConnections()
		canaries.failed(s.kept.Close())
	})
	var printed struct{ URL string }
	if err := json.NewDecoder(bufio.NewReader(stdout)).Decode(&printed); err != nil {
		p.t.Fatalf("the command prints no URL: %v", err)
	}
	at, err := url.Parse(printed.URL)
	if err != nil || at.Hostname() != "127.0.0.1" {
		p.t.Fatalf("the URL is %q: %v", printed.URL, err)
	}
	s.url, s.once = at.Scheme+"://"+at.Host, at.Path
	return s
}

// port returns the port of the page.
func (s *uiSession) port() string { return s.url[strings.LastIndex(s.url, ":")+1:] }

// end ends the command as Ctrl-C does, and returns its exit code.
func (s *uiSession) end() int {
	s.t.Helper()
	if err := s.command.Process.Signal(syscall.SIGINT); err != nil {
		s.t.Error(err)
	}
	if err := s.command.Wait(); err != nil {
		s.t.Error(err)
	}
	return s.command.ProcessState.ExitCode()
}

var uiToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// ask makes a request, and returns the page's text.
func (s *uiSession) ask(method, at string, form url.Values) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, at, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", s.url)
	}
	resp, err := s.browser.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.pages == "" {
		s.entered(resp.Request.URL.String())
	}
	s.keep(resp.Request.URL.String(), string(page))
	return string(page)
}

// entered remembers the address of the overview, which the URL that works once leads to.
func (s *uiSession) entered(at string) {
	s.t.Helper()
	pages, ok := strings.CutSuffix(at, "/")
	if !ok || !strings.HasPrefix(pages, s.url+"/") || pages == s.url+s.once {
		s.t.Fatal("the URL does not lead to a folder of the page")
	}
	s.pages = pages
}

// aPreview matches what a test push would send, which may contain what it was asked about.
var aPreview = regexp.MustCompile(`(?s)<pre tabindex="0">.*?</pre>`)

// keep keeps what is shown at a URL, without previews.
func (s *uiSession) keep(at, page string) {
	page = aPreview.ReplaceAllLiteralString(page, "")
	_, err := s.kept.WriteString(at + "\n" + html.UnescapeString(page) + "\n")
	canaries.failed(err)
}

// shows wants these texts on a page.
func (s *uiSession) shows(path string, texts ...string) string {
	s.t.Helper()
	page := s.ask(http.MethodGet, s.pages+path, nil)
	s.has(page, texts)
	return page
}

// does sends a form of the page, and wants these texts in the answer.
func (s *uiSession) does(path string, form url.Values, texts ...string) string {
	s.t.Helper()
	token := uiToken.FindStringSubmatch(s.ask(http.MethodGet, s.pages+"/pushkeys", nil))
	if token == nil {
		s.t.Fatal("the page has no form")
	}
	form.Set("token", token[1])
	page := s.ask(http.MethodPost, s.pages+path, form)
	s.has(page, texts)
	return page
}

func (s *uiSession) has(page string, texts []string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(page), text) {
			s.t.Errorf("the page does not show %q:\n%s", text, page)
		}
	}
}
