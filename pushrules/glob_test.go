package pushrules

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// slowly is a matcher that is easy to check. It tries every run of the value that is between two boundaries.
func slowly(g glob, value string) bool {
	wild := !g.literal && strings.ContainsAny(g.pattern, "*?")
	pattern := g.pattern
	if !wild || !g.synapse {
		pattern = lower(pattern)
	}
	p, v := []rune(pattern), []rune(value)
	if !g.words {
		return whole(p, v, wild, g.synapse && wild, make(map[[2]int]bool))
	}
	if !wild && !strings.Contains(value, pattern) {
		return false
	}
	word := asciiWord
	if g.unicode {
		word = unicodeWord
	}
	in := func(i int) bool { return 0 <= i && i < len(v) && word(v[i]) }
	edge := func(i int) bool { return i == 0 || i == len(v) || g.synapse && in(i-1) != in(i) }
	for from := 0; from <= len(v); from++ {
		for to := from; to <= len(v); to++ {
			if (edge(from) || !in(from-1)) && (edge(to) || !in(to)) && whole(p, v[from:to], wild, g.synapse, make(map[[2]int]bool)) {
				return true
			}
		}
	}
	return false
}

// whole reports whether a pattern matches all of a value. It remembers the pairs of rests that don't match.
func whole(p, v []rune, wild, synapse bool, failed map[[2]int]bool) bool {
	rest := [2]int{len(p), len(v)}
	if len(p) == 0 || failed[rest] {
		return len(p) == 0 && len(v) == 0
	}
	ok := false
	anything := len(v) > 0 && (!synapse || v[0] != '\n')
	switch {
	case wild && p[0] == '*':
		ok = whole(p[1:], v, wild, synapse, failed) || anything && whole(p, v[1:], wild, synapse, failed)
	case wild && p[0] == '?':
		ok = anything && whole(p[1:], v[1:], wild, synapse, failed)
	case len(v) > 0 && (p[0] == v[0] || synapse && strings.EqualFold(string(p[0]), string(v[0]))):
		ok = whole(p[1:], v[1:], wild, synapse, failed)
	}
	failed[rest] = !ok
	return ok
}

func globs(pattern string) (all []glob) {
	for _, words := range []bool{false, true} {
		all = append(all,
			glob{pattern: pattern, words: words},
			glob{pattern: pattern, words: words, synapse: true, unicode: true},
			glob{pattern: pattern, words: words, synapse: true, unicode: true, literal: words},
		)
	}
	return all
}

// The states of this pattern need more than one word of bits.
func TestALongPatternStartsAgainAfterANewline(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("a", 70)
	for _, g := range globs(line + "*b") {
		if g.words && !g.literal && !g.match(line+"\n"+line+"b") {
			t.Errorf("%+v doesn't match", g)
		}
		if g.match(line+"\nb") != (!g.synapse) {
			t.Errorf("%+v: a newline is wrong", g)
		}
	}
}

func TestWordsAreThoseOfEachReading(t *testing.T) {
	t.Parallel()
	for r, want := range map[rune][2]bool{
		'a': {true, true}, 'Z': {true, true}, '0': {true, true}, '_': {true, true},
		'-': {false, false}, '@': {false, false}, '[': {false, false}, '\x7f': {false, false}, '！': {false, false}, '½': {false, false},
		'é': {false, true}, '蛋': {false, true}, 'Ⅷ': {false, true}, '٣': {false, true}, '‿': {false, true}, 'ⓐ': {false, true},
		'\u0301': {false, true}, '\u200d': {false, true}, '🎂': {false, false},
	} {
		if got := [2]bool{asciiWord(r), unicodeWord(r)}; got != want {
			t.Errorf("%q: got %v, want %v", r, got, want)
		}
	}
}

func TestOnlySimpleValuesAreEqual(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{ // in the specification, in Synapse
		`1`: {true, true}, `-0`: {true, true}, `"1"`: {true, true}, `true`: {true, true}, `null`: {true, true},
		`9007199254740991`: {true, true}, `-9007199254740991`: {true, true},
		`9007199254740992`: {false, true}, `-9007199254740992`: {false, true}, `9223372036854775808`: {false, false},
		`1e400`: {false, false}, `1.0`: {false, false}, `1e2`: {false, false}, `[]`: {false, false}, `{}`: {false, false},
	} {
		value := decode([]byte(text))
		if got := [2]bool{same(value, value, false), same(value, value, true)}; got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	one, zero := decode([]byte("1")), decode([]byte("0"))
	if same(one, true, true) || same(one, "1", true) || same(nil, "", true) || same(zero, nil, true) {
		t.Error("values of different types are equal")
	}
}

func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"c*e", "a cake"},
		{"", ""},
		{"*", "\n"},
		{"?*?", "ab"},
		{"@room", "foo@room"},
		{"蛋糕", "我喜欢蛋糕"},
		{"s*", "ſ"},
		{"İ", "i̇"},
		{"a*b", "a\nab"},
		{"a\nb?", "a\nbc"},
		{strings.Repeat("*?", 70), strings.Repeat("a ", 80)},
		{strings.Repeat("a", 64) + "?", strings.Repeat("a", 65)},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if len(pattern) > 200 || len(value) > 200 || !utf8.ValidString(pattern) || !utf8.ValidString(value) {
			return
		}
		value = lower(value)
		for _, g := range globs(pattern) {
			if got, want := g.match(value), slowly(g, value); got != want {
				t.Errorf("%+v, value %q: got %v, want %v", g, value, got, want)
			}
		}
	})
}

// hostile has patterns of 1 kB with a value of 64 kB for each, which would be slow for a matcher that goes back.
func hostile() map[string][2]string {
	const pattern, value = 1 << 10, 64 << 10
	fill := func(s string, n int) string { return strings.Repeat(s, n/len(s)+1)[:n] }
	return map[string][2]string{
		"asterisks and question marks": {fill("*?", pattern), fill("a", value)},
		"asterisks and letters":        {fill("*a", pattern-1) + "b", fill("a", value)},
		"question marks":               {fill("a?", pattern-1) + "b", fill("a ", value)},
		"words":                        {fill("a *", pattern-1) + "b", fill("a ", value)},
		"lines":                        {fill("a*", pattern-1) + "b", fill("a\n", value)},
		"letters":                      {fill("a", pattern-1) + "b", fill("a", value)},
	}
}

func TestQ24_AHostilePatternTakesBoundedTime(t *testing.T) {
	t.Parallel()
	for name, h := range hostile() {
		for _, g := range globs(h[0]) {
			a := compile(lower(g.pattern), !g.literal, g.synapse)
			value := lower(h[1])
			a.run(value, g)
			if most := (utf8.RuneCountInString(g.pattern)/64 + 1) * utf8.RuneCountInString(value); a.steps == 0 || a.steps > most {
				t.Errorf("%s: %d steps, want at most %d", name, a.steps, most)
			}
		}
	}
}

// BenchmarkHostileGlob reports the time for each byte of pattern × value / 1,000. It should be below 10 ns for patterns with asterisks. A
// pattern that has only question marks and letters takes up to twice as long.
func BenchmarkHostileGlob(b *testing.B) {
	for name, h := range hostile() {
		for _, g := range globs(h[0])[3:5] {
			reading := map[bool]string{true: string(Synapse), false: string(Spec)}[g.synapse]
			b.Run(name+"/"+reading, func(b *testing.B) {
				for b.Loop() {
					g.match(lower(h[1]))
				}
				products := float64(len(h[0])) * float64(len(h[1])) / 1000
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/products, "ns/(B·B/1000)")
			})
		}
	}
}
