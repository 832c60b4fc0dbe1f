package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pattern, s string
		want             bool
	}{
		{"a literal is itself", "com.foo", "com.foo", true},
		{"com.foo does not match com.foobar (hedwig)", "com.foo", "com.foobar", false},
		{"a dot is a dot", "com.foo", "comxfoo", false},
		{"case counts", "com.foo", "com.Foo", false},
		{"a star is any run", "com.foo*", "com.foobar", true},
		{"a star is the empty run too", "com.foo*", "com.foo", true},
		{"a star crosses dots", "*", "com.foo.bar", true},
		{"a star in the middle", "com.*.ios", "com.foo.bar.ios", true},
		{"it is anchored at the start", "foo*", "com.foo", false},
		{"it is anchored at the end", "*foo", "com.foobar", false},
		{"a question mark is one character", "com.foo?", "com.foob", true},
		{"a question mark is not none", "com.foo?", "com.foo", false},
		{"a question mark is not two", "com.foo?", "com.fooba", false},
		{"a question mark is a rune, not a byte", "app.?", "app.ä", true},
		{"two question marks are two runes", "app.??", "app.ä", false},
		{"a star gives back what the rest needs", "*ab", "aab", true},
		{"a star restarts between runes", "*ä", "ëä", true},
		{"brackets are literal", "com.[a-z]", "com.b", false},
		{"a backslash is literal", `com.\*`, `com.\x`, true},
		{"the empty string has stars only", "**", "", true},
		{"the empty string has no character", "?", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := match(tt.pattern, tt.s); got != tt.want {
				t.Errorf("match(%q, %q) = %v", tt.pattern, tt.s, got)
			}
		})
	}
}

// naiveMatch is the definition of match.
func naiveMatch(pattern, s []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == '*':
		return naiveMatch(pattern[1:], s) || (len(s) > 0 && naiveMatch(pattern, s[1:]))
	default:
		return len(s) > 0 && (pattern[0] == '?' || pattern[0] == s[0]) && naiveMatch(pattern[1:], s[1:])
	}
}

// words are all words over the alphabet of at most n characters.
func words(alphabet string, n int) []string {
	all := []string{""}
	for last := all; n > 0; n-- {
		var longer []string
		for _, w := range last {
			for _, r := range alphabet {
				longer = append(longer, w+string(r))
			}
		}
		all, last = append(all, longer...), longer
	}
	return all
}

func TestMatchAgreesWithItsDefinition(t *testing.T) {
	t.Parallel()
	strs := words("aä", 5)
	for _, pattern := range words("aä*?", 4) {
		for _, s := range strs {
			if got, want := match(pattern, s), naiveMatch([]rune(pattern), []rune(s)); got != want {
				t.Fatalf("match(%q, %q) = %v, want %v", pattern, s, got, want)
			}
		}
	}
}

func TestOverlapAgreesWithItsDefinition(t *testing.T) {
	t.Parallel()
	// Two patterns of at most 3 characters that overlap do so in a string of at most 4, over their letters and one more.
	strs, patterns := words("abc", 5), words("ab*?", 3)
	matched := make(map[string][]bool, len(patterns))
	for _, p := range patterns {
		for _, s := range strs {
			matched[p] = append(matched[p], match(p, s))
		}
	}
	for _, a := range patterns {
		for _, b := range patterns {
			want := slices.ContainsFunc(seq(len(strs)), func(i int) bool { return matched[a][i] && matched[b][i] })
			if got := overlap(a, b); got != want {
				t.Fatalf("overlap(%q, %q) = %v, want %v", a, b, got, want)
			}
		}
	}
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func TestAPathologicalPatternTakesNoTime(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, pattern, s string }{
		{"many stars that almost match", strings.Repeat("*a", 200) + "*b", strings.Repeat("a", 5000)},
		{"stars between question marks", strings.Repeat("*?", 500) + "b", strings.Repeat("a", 5000)},
		{"one star and a long rest", "*" + strings.Repeat("a", 1000) + "b", strings.Repeat("a", 5000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if match(tt.pattern, tt.s) {
				t.Error("it matches")
			}
			if took := time.Since(start); took > 5*time.Second { // some milliseconds; with backtracking, longer than the age of the universe
				t.Errorf("took %v", took)
			}
		})
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("com.*.ios", "com.foo.ios")
	f.Add("*?ä\xff", "aä\xff")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			t.Skip()
		}
		p, r := []rune(pattern), []rune(s)
		if got, want := match(pattern, s), naiveMatch(p, r); got != want {
			t.Errorf("match(%q, %q) = %v", pattern, s, got)
		}
		if match(pattern, s) && !overlap(pattern, s) && !isGlob(s) {
			t.Errorf("%q matches %q, and they do not overlap", pattern, s)
		}
	})
}
