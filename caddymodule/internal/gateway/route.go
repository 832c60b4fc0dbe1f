package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Router finds the app that serves an app_id: the app with exactly that name, or else the most specific pattern that matches. The order
// of the apps in the configuration does not matter.
type Router struct {
	apps  []*App // in the order of the configuration
	exact map[string]*App
	globs []*App // most specific first
}

// NewRouter returns a router. Two equally specific patterns that can match the same app_id are an error.
func NewRouter(apps []*App) (*Router, error) {
	r := &Router{apps: apps, exact: make(map[string]*App)}
	for _, a := range apps {
		if err := CheckPattern(a.Pattern); err != nil {
			return nil, err
		}
		if isGlob(a.Pattern) {
			r.globs = append(r.globs, a)
		} else {
			r.exact[a.Pattern] = a
		}
	}
	slices.SortFunc(r.globs, func(a, b *App) int {
		return cmp.Or(-compareSpecificity(a.Pattern, b.Pattern), strings.Compare(a.Pattern, b.Pattern))
	})
	for i, a := range r.globs {
		for _, b := range r.globs[i+1:] {
			if compareSpecificity(a.Pattern, b.Pattern) == 0 && overlap(a.Pattern, b.Pattern) {
				return nil, fmt.Errorf("apps %q and %q are equally specific and can match the same app_id: "+
					"write more of the app_id in one of them, before its first * or ?", a.Pattern, b.Pattern)
			}
		}
	}
	return r, nil
}

// Apps returns all apps.
func (r *Router) Apps() []*App { return r.apps }

// Configured returns the app with exactly that pattern, or nil if there is none.
func (r *Router) Configured(pattern string) *App {
	i := slices.IndexFunc(r.apps, func(a *App) bool { return a.Pattern == pattern })
	if i < 0 {
		return nil
	}
	return r.apps[i]
}

// Route returns the app that serves an app_id, or nil if none does.
func (r *Router) Route(appID string) *App {
	if a, ok := r.exact[appID]; ok {
		return a
	}
	if strings.ContainsRune(appID, 0) {
		return nil // keeps the hash of (app_id, pushkey) unambiguous
	}
	for _, a := range r.globs {
		if match(a.Pattern, appID) {
			return a
		}
	}
	return nil
}

// CheckPattern returns an error if a pattern is not valid for an app.
func CheckPattern(pattern string) error {
	switch {
	case pattern == "":
		return errors.New("an app's pattern is empty: write an app_id, or * for all apps")
	case strings.Contains(pattern, "/"):
		return fmt.Errorf("app %q: a pattern cannot contain a slash, which separates the admin API's paths: use ? or * in its place", pattern)
	case strings.ContainsFunc(pattern, unicode.IsControl):
		return fmt.Errorf("app %q: a pattern cannot contain control characters: remove them", pattern)
	case pattern == UnknownApp, pattern == OtherReason:
		return fmt.Errorf("app %q: this name is reserved for the gateway's metrics: use another pattern", pattern)
	case pattern == "@id", strings.Trim(pattern, ".") == "":
		return fmt.Errorf("app %q: this name has a meaning in the admin API's paths: use another pattern", pattern)
	}
	return nil
}

// These labels of metrics stand for what has no own label, so they cannot be the names of apps.
const (
	// UnknownApp stands for all apps that are not configured.
	UnknownApp = "_unknown"
	// OtherReason stands for the reasons beyond a limit.
	OtherReason = "_other"
)

func isGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?") }

// compareSpecificity is positive if a is more specific than b. A longer literal prefix is more specific, and then more literal
// characters.
func compareSpecificity(a, b string) int {
	return cmp.Or(
		cmp.Compare(literalPrefix(a), literalPrefix(b)),
		cmp.Compare(literals(a), literals(b)),
	)
}

// Serving returns which of two patterns serves the app_ids that match both. It returns "" if none does, or if they are equally
// specific, which is an invalid configuration.
func Serving(a, b string) string {
	switch order := compareSpecificity(a, b); {
	case !isGlob(a) || !isGlob(b) || order == 0 || !overlap(a, b):
		return ""
	case order > 0:
		return a
	default:
		return b
	}
}

func literalPrefix(pattern string) int {
	prefix, _, _ := strings.Cut(strings.ReplaceAll(pattern, "?", "*"), "*")
	return len([]rune(prefix))
}

func literals(pattern string) int {
	return len([]rune(strings.NewReplacer("*", "", "?", "").Replace(pattern)))
}
