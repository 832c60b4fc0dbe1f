package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/programtest"
)

// RequireVariable is the environment variable that makes a missing browser or axe-core a failure.
const RequireVariable = "CI_REQUIRE_BROWSERS"

// patience is how long a test waits for what a working browser does soon.
const patience = 60 * time.Second

// Browser is a running browser.
type Browser struct {
	t        testing.TB
	name     string
	program  *programtest.Program
	profile  string
	settings settings
	driver   driver
	pages    []*Page
	patience time.Duration
}

// driver is what differs between browsers. A page's id is the driver's own.
type driver interface {
	// command returns the program with its arguments, and the text in its log that the URL of its websocket follows.
	command(profile string, s settings) (command *exec.Cmd, before string, err error)
	// attach uses the websocket of a browser that has just started.
	attach(ctx context.Context, url string, s settings) error
	// quit asks the browser to end, and closes the connection.
	quit(ctx context.Context)

	open(ctx context.Context) (id string, err error)
	closePage(ctx context.Context, id string) error
	navigate(ctx context.Context, id, url string) error
	// evaluate returns the string that the promise of an expression resolves to.
	evaluate(ctx context.Context, id, expression string) (string, error)
	click(ctx context.Context, id string, x, y float64) error
	press(ctx context.Context, id string, keys []Key) error
	selectAll(ctx context.Context, id string) error
	viewport(ctx context.Context, id string, width, height int) error
	scheme(ctx context.Context, id, scheme string) error
	screenshot(ctx context.Context, id string) (base64 string, err error)
	forbidScripts(ctx context.Context, id string) error
	deny(ctx context.Context, origin string) error
	push(ctx context.Context, scope, data string) error
	clickNotification(ctx context.Context, title string) error
	opened(ctx context.Context, url string, known []string) (id string, err error)
}

// settings are what options set.
type settings struct {
	hosts       []string
	pushService string
}

// Option is an option of a browser.
type Option func(*settings)

// Hosts makes names lead to 127.0.0.1, for example to test what a gateway does with another host name.
func Hosts(names ...string) Option {
	return func(s *settings) { s.hosts = append(s.hosts, names...) }
}

// PushService makes Firefox use the push service at a URL ws://…
func PushService(url string) Option {
	return func(s *settings) { s.pushService = url }
}

// Firefox starts a Firefox. Without [PushService], it has no push service.
func Firefox(t testing.TB, options ...Option) *Browser {
	t.Helper()
	return start(t, "Firefox", new(firefox), options)
}

// Chromium starts a Chromium.
func Chromium(t testing.TB, options ...Option) *Browser {
	t.Helper()
	return start(t, "Chromium", &chromium{registrations: make(map[string]registration), changed: make(chan struct{})}, options)
}

func start(t testing.TB, name string, d driver, options []Option) *Browser {
	t.Helper()
	profile, err := os.MkdirTemp("", "browser") //nolint:usetesting // the names of t.TempDir are too long for a browser's sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	b := &Browser{t: t, name: name, profile: profile, driver: d, program: programtest.NewProgram(t, name), patience: patience}
	for _, option := range options {
		option(&b.settings)
	}
	b.launch()
	t.Cleanup(func() {
		if t.Failed() {
			b.screenshots()
			t.Logf("the output of %s:\n%s", name, b.program.Log())
		}
		b.quit()
	})
	return b
}

// launch runs the browser with its profile.
func (b *Browser) launch() {
	b.t.Helper()
	command, before, err := b.driver.command(b.profile, b.settings)
	if err != nil {
		lacks(b.t, err)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so its helpers end with it
	command.Env = append(os.Environ(), "HOME="+b.profile, "XDG_CONFIG_HOME="+b.profile, "XDG_CACHE_HOME="+b.profile)
	b.program.Launch(command)
	url, ok := b.program.Line(before)
	if !ok {
		b.t.Fatalf("%s does not start:\n%s", b.name, b.program.Log())
	}
	ctx, cancel := b.soon()
	defer cancel()
	if err := b.driver.attach(ctx, url, b.settings); err != nil {
		b.t.Fatal(err)
	}
}

// quit ends the browser in order if it can, so it writes its profile.
func (b *Browser) quit() {
	ctx, cancel := b.soon()
	defer cancel()
	b.driver.quit(ctx)
	b.pages = nil
	b.program.WaitExit(b.patience)
	b.program.Kill()
}

// Restart ends the browser and starts it with the same profile. All pages are closed.
func (b *Browser) Restart() {
	b.t.Helper()
	b.Quit()
	b.Start()
}

// Quit ends the browser until [Browser.Start].
func (b *Browser) Quit() { b.quit() }

// Start starts a browser that was ended, with its profile.
func (b *Browser) Start() {
	b.t.Helper()
	b.launch()
}

// Deny denies an origin to show notifications. All origins are permitted to at first.
func (b *Browser) Deny(origin string) {
	b.t.Helper()
	ctx, cancel := b.soon()
	defer cancel()
	if err := b.driver.deny(ctx, origin); err != nil {
		b.t.Fatal(err)
	}
}

// Push hands a message to the worker with a scope, as if a push service had sent it and the browser had decrypted it. It waits until there
// is such a worker. Only Chromium can do this.
func (b *Browser) Push(scope, data string) {
	b.t.Helper()
	ctx, cancel := b.soon()
	defer cancel()
	if err := b.driver.push(ctx, scope, data); err != nil {
		b.t.Fatal(err)
	}
}

// ClickNotification waits for a notification with a title, and clicks on it. Only Firefox can do this.
func (b *Browser) ClickNotification(title string) {
	b.t.Helper()
	ctx, cancel := b.soon()
	defer cancel()
	if err := b.driver.clickNotification(ctx, title); err != nil {
		b.t.Fatal(err)
	}
}

// Opened waits for a page at a URL that a worker or another page opened, and returns it. Only Firefox can do this.
func (b *Browser) Opened(url string) *Page {
	b.t.Helper()
	ctx, cancel := b.soon()
	defer cancel()
	known := []string{} // not null in JSON
	for _, p := range b.pages {
		known = append(known, p.id)
	}
	id, err := b.driver.opened(ctx, url, known)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &Page{b, id}
	b.pages = append(b.pages, p)
	p.Wait(`document.readyState === "complete"`)
	return p
}

// soon returns the context of one command. It is also used after the test, when t.Context is done.
func (b *Browser) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(b.t.Context()), b.patience)
}

// lacks skips or fails a test that needs something that is not installed.
func lacks(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(RequireVariable) != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// find returns the path of a program, which is in Debian's package of the same name.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("there is no %s: install the package %[1]s: %w", name, err)
	}
	return path, nil
}

var screenshotFolder = sync.OnceValues(func() (string, error) {
	if folder := os.Getenv("BROWSER_SCREENSHOTS"); folder != "" {
		return folder, os.MkdirAll(folder, 0o750)
	}
	return os.MkdirTemp("", "browser-screenshots")
})

// screenshots writes a screenshot of each open page.
func (b *Browser) screenshots() {
	folder, err := screenshotFolder()
	if err != nil {
		b.t.Log(err)
		return
	}
	for _, p := range b.pages {
		image, err := p.screenshot()
		if err != nil {
			b.t.Logf("no screenshot: %v", err)
			continue
		}
		name := strings.NewReplacer("/", "-", "\\", "-").Replace(b.t.Name()) + "-" + b.name + "-*.png"
		file, err := os.CreateTemp(folder, name)
		if err == nil {
			_, err = file.Write(image)
			err = errors.Join(err, file.Close())
			b.t.Logf("screenshot: %s", filepath.Clean(file.Name()))
		}
		if err != nil {
			b.t.Log(err)
		}
	}
}

// quote returns a text as a JavaScript string.
func quote(text string) string {
	quoted, _ := json.Marshal(text) //nolint:errchkjson // a string can always be encoded
	return string(quoted)
}
