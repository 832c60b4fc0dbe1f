package browsertest_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// failing is a test that must fail. It keeps what is logged.
type failing struct {
	testing.TB
	log      []string
	cleanups []func()
	failed   bool
}

func (f *failing) Cleanup(cleanup func())     { f.cleanups = append(f.cleanups, cleanup) }
func (f *failing) Failed() bool               { return f.failed }
func (f *failing) Log(args ...any)            { f.log = append(f.log, fmt.Sprint(args...)) }
func (f *failing) Logf(text string, a ...any) { f.Log(fmt.Sprintf(text, a...)) }

func (f *failing) Fatalf(text string, args ...any) { f.Fatal(fmt.Sprintf(text, args...)) }

func (f *failing) Fatal(args ...any) {
	f.failed = true
	f.Log(args...)
	runtime.Goexit()
}

// fails runs a function that must fail, and returns its log.
func fails(t *testing.T, test func(testing.TB)) (log []string) {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := range f.cleanups {
				f.cleanups[len(f.cleanups)-1-i]()
			}
		}()
		test(f)
	}()
	<-done
	if t.Skipped() {
		t.SkipNow()
	}
	if !f.failed {
		t.Error("it does not fail")
	}
	return f.log
}

func TestAFailureSaysWhyAndLeavesAScreenshot(t *testing.T) {
	t.Parallel()
	url := serve(t)
	for name, cases := range map[string]map[string]func(*browsertest.Page){
		"Firefox": {
			"a reason": func(p *browsertest.Page) { p.Evaluate(`Promise.reject(new Error("a reason"))`, nil) },
		},
		"Chromium": {
			"a reason":                                func(p *browsertest.Page) { p.Evaluate(`Promise.reject(new Error("a reason"))`, nil) },
			"this does not become true: 1 > 2":        func(p *browsertest.Page) { p.Wait("1 > 2") },
			"there is no such element":                func(p *browsertest.Page) { p.Click("#nowhere") },
			"the element is disabled":                 func(p *browsertest.Page) { p.Click("#never") },
			"the element is not shown, or is covered": func(p *browsertest.Page) { p.Click("title") },
		},
	} {
		for why, do := range cases {
			t.Run(name+": "+why, func(t *testing.T) {
				t.Parallel()
				log := strings.Join(fails(t, func(t testing.TB) {
					b := browsers[name](t)
					p := b.Open(url + "/page.html")
					defer b.Impatient()()
					do(p)
				}), "\n")
				_, file, _ := strings.Cut(log, "screenshot: ")
				file, _, _ = strings.Cut(file, "\n")
				if image, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(image), "\x89PNG") {
					t.Errorf("no screenshot: %v", err)
				}
				_ = os.Remove(file)
				if !strings.Contains(log, why) {
					t.Errorf("it does not say why:\n%s", log)
				}
			})
		}
	}
}
