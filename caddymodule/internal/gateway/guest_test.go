package gateway

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// volcano is a provider that panics with a secret in every method.
type volcano struct{}

const magma = "secret-in-a-panic"

func (volcano) Push(context.Context, *providers.Push) providers.Outcome { panic(magma) }
func (volcano) Usable(*providers.Device, providers.Site) error          { panic(magma) }
func (volcano) Reduce(*providers.Notification) *providers.Notification  { panic(magma) }
func (volcano) DefaultContent(*providers.Device) providers.Content      { panic(magma) }
func (volcano) DefaultBadges() providers.Badges                         { panic(magma) }
func (volcano) DefaultWait() time.Duration                              { panic(magma) }
func (volcano) Mounted([]string) error                                  { panic(magma) }
func (volcano) Start(context.Context) error                             { panic(magma) }
func (volcano) CheckStart(context.Context) error                        { panic(magma) }
func (volcano) Warm(context.Context) error                              { panic(magma) }
func (volcano) Concurrency() int                                        { panic(magma) }
func (volcano) Host(*providers.Device) string                           { panic(magma) }
func (volcano) Target(*providers.Device) string                         { panic(magma) }
func (volcano) CredentialExpiry() time.Time                             { panic(magma) }
func (volcano) Check(context.Context) error                             { panic(magma) }
func (volcano) Advertise() providers.Advertisement                      { panic(magma) }
func (volcano) Explain(string) string                                   { panic(magma) }
func (volcano) Preview(*providers.Push) providers.Preview               { panic(magma) }

func (volcano) Replace(*providers.Notification, *providers.Device) string { panic(magma) }

// interfaceMethods returns the methods of the contract's interfaces, from its source: a new one must be guarded.
func interfaceMethods(t *testing.T) (methods []string) {
	t.Helper()
	files, err := filepath.Glob("../../../providers/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source: %v", err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok {
				for _, method := range i.Methods.List {
					for _, name := range method.Names {
						methods = append(methods, name.Name)
					}
				}
			}
			return true
		})
	}
	return methods
}

func TestNoMethodOfAProviderTakesDownCaddy(t *testing.T) {
	t.Parallel()
	methods := interfaceMethods(t)
	if len(methods) < 10 {
		t.Fatalf("only %q are found", methods)
	}
	for _, name := range methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, ok := reflect.TypeFor[volcano]().MethodByName(name); !ok {
				t.Fatal("the test's provider has no such method")
			}
			var told []Panic
			app := &App{Pattern: "app", Provider: volcano{}, Panicked: func(_ *App, p Panic) { told = append(told, p) }}
			method := reflect.ValueOf(app).MethodByName(name)
			if !method.IsValid() {
				t.Fatal("the app has no guarded method of this name")
			}
			for range 3 {
				var in []reflect.Value
				for i := range method.Type().NumIn() {
					in = append(in, argument(method.Type().In(i)))
				}
				for _, out := range method.Call(in) {
					if err, ok := out.Interface().(error); ok && strings.Contains(err.Error(), magma) {
						t.Errorf("it returned %v", err)
					}
				}
			}
			if len(told) != 1 || told[0].Method != name || told[0].Type != "string" {
				t.Fatalf("told was %+v", told)
			}
			if stack := strings.Join(told[0].Stack, "\n"); !strings.Contains(told[0].Stack[0], "volcano."+name) || strings.Contains(stack, magma) ||
				regexp.MustCompile(`0x[0-9a-f]{4}`).MatchString(stack) {
				t.Errorf("the stack is\n%s", stack)
			}
		})
	}
}

// argument returns a value for a parameter.
func argument(of reflect.Type) reflect.Value {
	switch {
	case of == reflect.TypeFor[context.Context]():
		return reflect.ValueOf(context.Background())
	case of.Kind() == reflect.Pointer:
		return reflect.New(of.Elem())
	default:
		return reflect.Zero(of)
	}
}

// Code that asserts an interface of the contract will sooner or later call it without the guard.
func TestNobodyElseCallsAProvider(t *testing.T) {
	t.Parallel()
	// Any code may check what a provider can do if it drops the value.
	allowed := regexp.MustCompile(`_, \w+ :?= \w+\.Provider\.\(providers\.\w+\)`)
	call := regexp.MustCompile(`\.Provider\.\(providers\.|\.Provider\.[A-Z]|\.\(providers\.(Mounted|Starter|StartChecker|Warmer|Concurrency|Hoster|Expirer|Checker|Advertiser|WaitDefaulter|ContentDefaulter|BadgesDefaulter|Usable|Reducer|Replacer|Explainer|Previewer)\)`)
	found := 0
	err := filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(source), "\n") {
			if !call.MatchString(line) {
				continue
			}
			found++
			if !strings.HasSuffix(path, "gateway/guest.go") && !allowed.MatchString(line) {
				t.Errorf("%s:%d: %s", path, i+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("found %d calls: %v", found, err)
	}
}

func TestAPanicCostsItsPushAndNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
			if p.Device.Pushkey == "bad" {
				panic(magma)
			}
			return providers.Delivered()
		}}
		r, _ := keeping(t, appFor("app", p))
		for i := range 3 * breakerMin {
			wantLine(t, r.notify(event("$e", device("bad"), device(string(rune('a'+i))))), `[]`)
		}
		if len(r.saw.seen()) != 0 {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
	})
}

func TestADeviceOfAProviderThatPanicsAtItsHostIsStillServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", volcano{}))
		wantLine(t, r.notify(event("$e", device("key"))), `503 after 5s`)
	})
}

// void is a provider that reduces every notification to nothing.
type void struct{ providers.Provider }

func (void) Reduce(*providers.Notification) *providers.Notification { return nil }

func TestAProviderThatReducesANotificationToNothingGetsAllOfIt(t *testing.T) {
	t.Parallel()
	n := &providers.Notification{EventID: "$1"}
	if got := (&App{Provider: void{}}).Reduce(n); got != n {
		t.Errorf("got %+v", got)
	}
}
