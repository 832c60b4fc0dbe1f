// Package sygnal is a config adapter that reads the configuration of Sygnal (https://github.com/element-hq/sygnal), so that its
// operator migrates with one command: `caddy run --adapter sygnal --config sygnal.yaml`.
//
// It imports no provider: a build has those that it wants, and a configuration that needs another one does not load.
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

// Adapter makes Caddy's JSON of a sygnal.yaml. What Sygnal would not start with is an error, and so is an app that would have no
// provider here: homeservers would delete its pushers. Everything else that is not carried over is a warning.
type Adapter struct{}

// maxBody is the largest body that Sygnal reads.
const maxBody = 512 << 10

// Adapt adapts body. Of the options, it knows `filename`.
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
	return result, a.warnings, nil
}

// adaptation is one file on its way.
type adaptation struct {
	file     string
	proxy    string   // the key proxy, which every provider gets
	relative []string // the keys that name a file by a relative path
	warnings []caddyconfig.Warning
	errs     []lineError
}

// lineError is an error, and the line that it is about.
type lineError struct {
	error
	line int
}

// adapt returns nil if the file cannot be read at all; whether there were errors is in errs.
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

// named puts the file's name in front of an error.
func (a *adaptation) named(err error) error {
	if a.file == "" {
		return err
	}
	return fmt.Errorf("%s: %w", a.file, err)
}

// fail notes an error at a key.
func (a *adaptation) fail(line int, path, format string, args ...any) {
	a.errs = append(a.errs, lineError{a.named(fmt.Errorf("line %d: %s: %s", line, path, fmt.Sprintf(format, args...))), line})
}

// warn notes a warning at a key.
func (a *adaptation) warn(line int, path, format string, args ...any) {
	a.warnings = append(a.warnings, caddyconfig.Warning{
		File: a.file, Line: line, Directive: path, Message: fmt.Sprintf(format, args...),
	})
}

// warnState tells an operator whose gateway kept nothing so far that this one does.
func (a *adaptation) warnState() {
	a.warn(0, "", "Sygnal keeps nothing; this gateway keeps which pushkeys are dead and the pushes that wait, in matrix_push/rejected.db "+
		"and matrix_push/outbox.db below Caddy's data directory (`caddy environ` names it). Next: let that directory outlive restarts")
}

// database reads what Sygnal itself has no more use for.
func (s *section) database() {
	for _, key := range []string{"db", "database"} {
		s.drop(key, "nothing reads it: Sygnal has no database since 0.10, and this gateway has its own files")
	}
}

// Interface guard
var _ caddyconfig.Adapter = Adapter{}
