package gateway

import (
	"slices"
	"strings"
	"testing"
)

func TestAnAppIDGoesToTheMostSpecificApp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, appID, want string
		patterns          []string
	}{
		{"the exact id", "com.foo.ios", "com.foo.ios", []string{"*", "com.foo.*", "com.foo.io?", "com.foo.ios"}},
		{"the longest literal prefix", "com.foo.ios", "com.foo.*", []string{"*", "com.*.ios", "com.foo.*"}},
		{"the prefix before the number of literals", "com.foo.ios", "com.f*", []string{"com.*foo.ios", "com.f*"}},
		{"then the most literals", "com.foo.ios", "com.*.ios", []string{"com.*", "com.*.ios", "com.?oo*"}},
		{"a question mark ends the prefix", "com.foo", "com.fo*", []string{"com.f?o", "com.fo*"}},
		{"the prefix is counted in characters", "ää.b", "ää.*", []string{"*ä.b", "ä*.b", "ää.*"}},
		{"com.foo does not serve com.foobar (hedwig)", "com.foobar", "", []string{"com.foo"}},
		{"a dot is not a wildcard", "comxfoo", "", []string{"com.foo"}},
		{"an app_id is not a pattern", "com.*", "com.?", []string{"com.foo", "com.?"}},
		{"a glob serves an app_id that is spelt like it", "com.*", "com.*", []string{"com.*"}},
		{"an unknown app_id", "org.bar", "", []string{"com.*"}},
		{"a NUL, that no app_id has", "com.\x00", "", []string{"*", "com.?"}},
		{"no app", "com.foo", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, patterns := range [][]string{tt.patterns, backwards(tt.patterns)} { // the order does not matter
				r, err := NewRouter(appsOf(patterns))
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				if a := r.Route(tt.appID); a != nil {
					got = a.Pattern
				}
				if got != tt.want {
					t.Errorf("%q goes to %q, want %q", tt.appID, got, tt.want)
				}
			}
		})
	}
}

func TestPatternsThatCannotBeServed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		patterns []string
		want     string // of the error; empty for none
	}{
		{"an empty pattern", []string{""}, "is empty"},
		{"a slash separates the admin API's paths", []string{"com/foo"}, "cannot contain a slash"},
		{"a NUL", []string{"com\x00*"}, "cannot contain control characters"},
		{"an escape sequence of terminals", []string{"com\x1b[2J*"}, "cannot contain control characters"},
		{"the label for apps that are not configured", []string{"_unknown"}, `app "_unknown": this name is reserved`},
		{"the label for other reasons", []string{"_other"}, `app "_other": this name is reserved`},
		{"a name that only begins as a label does", []string{"_unknown.ios", "_*"}, ""},
		{"Caddy's word for an object's ID", []string{"@id"}, `app "@id": this name has a meaning in the admin API's paths`},
		{"a folder's parent", []string{".."}, `app "..": this name has a meaning in the admin API's paths`},
		{"two of the same specificity that meet", []string{"com.*o", "com.f*"}, ""},
		{"the same prefix and as many literals, that meet", []string{"com.*a", "com.*b*"}, `apps "com.*a" and "com.*b*" are equally specific`},
		{"the same prefix and as many literals, that never meet", []string{"com.*a", "com.*b"}, ""},
		{"a star and two", []string{"com.*", "com.**"}, "are equally specific"},
		{"a star and a question mark", []string{"com.*", "com.?"}, "are equally specific"},
		{"one and two question marks never meet", []string{"com.?", "com.??"}, ""},
		{"others of the same specificity stand between them", []string{"a*1*", "a*2", "a*3", "a*1"}, "are equally specific"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewRouter(appsOf(tt.patterns))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestARouterKnowsItsAppsAsConfigured(t *testing.T) {
	t.Parallel()
	apps := appsOf([]string{"*", "com.foo", "com.*"})
	r, err := NewRouter(apps)
	if err != nil || !slices.Equal(r.Apps(), apps) {
		t.Errorf("got %v, %v", r.Apps(), err)
	}
}

func appsOf(patterns []string) []*App {
	var apps []*App
	for _, p := range patterns {
		apps = append(apps, &App{Pattern: p})
	}
	return apps
}

func backwards(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

func TestServingIsTheMoreSpecificOfTwoPatternsThatOverlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, a, b, want string }{
		{"a longer literal prefix", "org.example.*", "org.example.ios.*", "org.example.ios.*"},
		{"more literal characters", "org.*", "org.*.ios", "org.*.ios"},
		{"a character that may be any", "org.example.?", "org.*", "org.example.?"},
		{"patterns that nothing matches both of", "org.*", "com.example.*", ""},
		{"an app_id and a pattern", "org.example.ios", "org.example.*", ""},
		{"patterns of which neither is more specific", "org.*a", "org.?*a", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Serving(tt.a, tt.b); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := Serving(tt.b, tt.a); got != tt.want {
				t.Errorf("the other way round: got %q, want %q", got, tt.want)
			}
		})
	}
}
