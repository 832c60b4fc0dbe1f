package nearest_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

func TestAnErrorListsTheNamesThatThereAre(t *testing.T) {
	t.Parallel()
	many := make([]string, 0, 30)
	for i := range 30 {
		many = append(many, "name"+strconv.Itoa(10+i))
	}
	for _, tt := range []struct {
		name, given string
		among       []string
		want        string
	}{
		{"no names", "a", nil, ""},
		{"one name", "retries", []string{"expire"}, ": there is only expire"},
		{"one name, which is similar", "expires", []string{"expire"}, `: did you mean "expire"?`},
		{"two names, in any order", "x", []string{"proxy", "endpoint"}, ": the options are endpoint and proxy"},
		{"a name that is there twice", "x", []string{"proxy", "topic", "proxy", "endpoint"}, ": the options are endpoint, proxy and topic"},
		{"a similar name", "prxoy", []string{"proxy", "endpoint"}, `: did you mean "proxy"? The options are endpoint and proxy`},
		{"many names", "x", many, ": the options are " + strings.Join(many[:20], ", ") + " and 10 more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := nearest.Instead(tt.given, "options", tt.among); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAWrongNameIsShownShort(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"wiat":                   `"wiat"`,
		"a\nb\x1b":               `"a\nb\x1b"`,
		strings.Repeat("ä", 64):  `"` + strings.Repeat("ä", 64) + `"`,
		strings.Repeat("ä", 100): `"` + strings.Repeat("ä", 64) + `…"`,
	} {
		if got := nearest.Shown(given); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
