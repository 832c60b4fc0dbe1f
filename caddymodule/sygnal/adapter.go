// Package sygnal is a config adapter for the configuration of Sygnal (https://github.com/element-hq/sygnal). Operators migrate with one
// command: `caddy run --adapter sygnal --config sygnal.yaml`.
//
// It imports no provider. A build includes the providers of its choice, and a configuration that needs another one does not load.
package sygnal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func init() {
	caddyconfig.RegisterAdapter("sygnal", Adapter{})
}

// Adapter converts a sygnal.yaml to Caddy's JSON. A configuration that Sygnal would not start with is an error. An app without a provider
// here is also an error, as homeservers would delete its pushers. Everything else that is not carried over is a warning.
type Adapter struct{}

// maxBody is Sygnal's maximum size of a request body.
const maxBody = 512 << 10

// Adapt adapts body. It uses only the option `filename`.
func (Adapter) Adapt(body []byte, options map[string]any) ([]byte, []caddyconfig.Warning, error) {
	a := new(adaptation)
	a.file, _ = options["filename"].(string)
	adapted := a.adapt(body)
	if len(a.errs) > 0 {
		slices.SortStableFunc(a.errs, func(x, y lineError) int { return cmp.Compare(x.line, y.line) })
		errs := make([]error, len(a.errs))
		for i, e := range a.errs {
			errs[i] = e.error
		}
		return nil, nil, errors.Join(errs...)
	}
	slices.SortStableFunc(a.warnings, func(x, y caddyconfig.Warning) int { return cmp.Compare(x.Line, y.Line) })
	result, err := json.Marshal(adapted)
	if err != nil {
		return nil, nil, err
	}
	return result, grouped(a.warnings), nil
}

// grouped returns the warnings, with a single one for all keys that have the same message. Caddy logs them at each start and each reload, and
// many apps may have the same keys.
func grouped(warnings []caddyconfig.Warning) (list []caddyconfig.Warning) {
	for _, w := range warnings {
		same := slices.IndexFunc(list, func(other caddyconfig.Warning) bool { return other.Message == w.Message })
		if same < 0 {
			list = append(list, w)
			continue
		}
		list[same].Directive += fmt.Sprintf(", %s (line %d)", w.Directive, w.Line)
	}
	return list
}

// adaptation is the state of adapting one file.
type adaptation struct {
	file     string
	proxy    string   // the value of the key proxy, set for every provider
	relative []string // the keys with a relative path of a file
	warnings []caddyconfig.Warning
	errs     []lineError
}

// lineError is an error with its line.
type lineError struct {
	error
	line int
}

// adapt adapts the file and collects errors in errs. It returns nil if the file cannot be parsed at all.
func (a *adaptation) adapt(body []byte) *config {
	document, err := parse(body)
	if err != nil {
		a.errs = append(a.errs, lineError{error: a.named(err)})
		return nil
	}
	root := a.read(document, "")
	if root == nil {
		return nil
	}
	a.proxy = root.proxy()
	c := &config{Apps: apps{
		HTTP:       httpApp{Servers: root.servers()},
		MatrixPush: pushApp{Apps: root.apps(), MaxBody: maxBody},
	}}
	root.database()
	root.done()
	a.warnState()
	return c
}

// named prefixes an error with the file's name.
func (a *adaptation) named(err error) error {
	if a.file == "" {
		return err
	}
	return fmt.Errorf("%s: %w", a.file, err)
}

// fail adds an error about a key.
func (a *adaptation) fail(line int, path, format string, args ...any) {
	a.errs = append(a.errs, lineError{a.named(fmt.Errorf("line %d: %s: %s", line, path, fmt.Sprintf(format, args...))), line})
}

// warn adds a warning about a key.
func (a *adaptation) warn(line int, path, format string, args ...any) {
	a.warnings = append(a.warnings, caddyconfig.Warning{
		File: a.file, Line: line, Directive: path, Message: fmt.Sprintf(format, args...),
	})
}

// warnState warns that this gateway keeps state, which Sygnal does not.
func (a *adaptation) warnState() {
	a.warn(0, "", "Sygnal keeps no state; this gateway keeps dead pushkeys in matrix_push/rejected.db and pending pushes in "+
		"matrix_push/outbox.db, below Caddy's data directory (`caddy environ` shows it). Next: make that directory persistent")
}

// database drops the keys that Sygnal itself no longer uses.
func (s *section) database() {
	for _, key := range []string{"db", "database"} {
		s.drop(key, "Sygnal has had no database since 0.10, and this gateway has its own files")
	}
}

// Interface guard
var _ caddyconfig.Adapter = Adapter{}
