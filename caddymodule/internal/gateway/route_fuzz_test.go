package gateway

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRouter compares a router of several patterns with the rules: the exact pattern, or else, of those that match, the one with the
// longest literal prefix, and then with the most literal characters. No two patterns that match are equal in both.
func FuzzRouter(f *testing.F) {
	f.Add("org.example.app\norg.example.*\n*", "org.example.app")
	f.Add("com.*.ios\ncom.foo.*\ncom.foo.?os", "com.foo.ios")
	f.Add("*a*\n*b*", "ab")
	f.Add("?\nä", "ä")
	f.Add("a\na/b\n\n\x00", "a\x00b")
	f.Fuzz(func(t *testing.T, lines, appID string) {
		if !utf8.ValidString(lines) || !utf8.ValidString(appID) {
			t.Skip() // both come from JSON
		}
		patterns := unique(strings.Split(lines, "\n"))
		if len(lines) > 60 || len(appID) > 20 || len(patterns) > 6 {
			t.Skip() // the definition is slow
		}
		apps := make([]*App, len(patterns))
		for i, pattern := range patterns {
			apps[i] = &App{Pattern: pattern}
		}
		router, err := NewRouter(apps)
		wrong := strings.Contains("\n"+strings.Join(patterns, "\n")+"\n", "\n\n") || strings.ContainsAny(strings.Join(patterns, ""), "/\x00")
		if wrong && err == nil {
			t.Fatalf("%q are not valid patterns", patterns)
		}
		best, tie := "", ""
		for _, pattern := range patterns {
			switch {
			case !naiveMatch([]rune(pattern), []rune(appID)) && pattern != appID:
			case pattern == appID && !strings.ContainsAny(pattern, "*?"):
				best, tie = pattern, ""
			case best == appID && !strings.ContainsAny(best, "*?") && best != "":
			case best == "" || moreSpecific(pattern, best):
				best, tie = pattern, ""
			case !moreSpecific(best, pattern):
				tie = pattern
			}
		}
		if err != nil {
			return
		}
		if tie != "" {
			t.Fatalf("%q and %q match %q, and neither comes first", best, tie, appID)
		}
		if strings.ContainsRune(appID, 0) {
			best = "" // no app's, because it would make the hash of app_id and pushkey ambiguous
		}
		var got string
		if app := router.Route(appID); app != nil {
			got = app.Pattern
		}
		if got != best {
			t.Errorf("%q of %q serves %q, want %q", got, patterns, appID, best)
		}
	})
}

// unique removes repetitions: a configuration is an object, and never has two members with the same name.
func unique(list []string) (once []string) {
	seen := make(map[string]bool)
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			once = append(once, s)
		}
	}
	return once
}

// moreSpecific reports whether a pattern comes before another, character by character.
func moreSpecific(a, b string) bool {
	count := func(pattern string) (prefix, all int) {
		begins := true
		for _, c := range pattern {
			if c == '*' || c == '?' {
				begins = false
				continue
			}
			all++
			if begins {
				prefix++
			}
		}
		return prefix, all
	}
	prefixA, allA := count(a)
	prefixB, allB := count(b)
	return prefixA > prefixB || prefixA == prefixB && allA > allB
}
