package rejected

import (
	"errors"
	"strings"
	"testing"
)

const abc = "abc0123456789abcdef0123456789def"

func parsed(t *testing.T, s string) Key {
	t.Helper()
	k, ok := ParseKey(s)
	if !ok {
		t.Fatalf("%s is not a key", s)
	}
	return k
}

func TestAKeyIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	if got := parsed(t, abc).String(); got != abc {
		t.Errorf("got %s, want %s", got, abc)
	}
	for name, s := range map[string]string{
		"nothing":               "",
		"a digit less":          abc[1:],
		"a digit more":          abc + "0",
		"upper case":            strings.ToUpper(abc),
		"no digit":              "g" + abc[1:],
		"a sign":                "-" + abc[1:],
		"a letter of two bytes": "é" + abc[2:],
	} {
		if k, ok := ParseKey(s); ok || k != (Key{}) {
			t.Errorf("%s: read as %s", name, k)
		}
	}
}

func TestAPrefixIsThatOfAKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prefix string
		want   error
		match  bool
	}{
		"every key has none":            {"", nil, true},
		"one digit":                     {"a", nil, true},
		"two digits":                    {"ab", nil, true},
		"three digits":                  {"abc", nil, true},
		"all of them":                   {abc, nil, true},
		"another digit":                 {"b", nil, false},
		"another third digit":           {"abd", nil, false},
		"another last digit":            {abc[:31] + "0", nil, false},
		"a digit more than a key has":   {abc + "0", ErrPrefix, false},
		"upper case":                    {"AB", ErrPrefix, false},
		"upper case in between":         {"aBc", ErrPrefix, false},
		"no digit":                      {"abg", ErrPrefix, false},
		"no digit in between":           {"agc", ErrPrefix, false},
		"a pattern":                     {"*", ErrPrefix, false},
		"a space behind":                {"ab ", ErrPrefix, false},
		"what is not text":              {"\xff\x00", ErrPrefix, false},
		"a digit of another alphabet":   {"١", ErrPrefix, false},
		"a minus, as of a wrong option": {"-n", ErrPrefix, false},
	} {
		q := Query{Prefix: tt.prefix}
		if err := q.Check(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if _, err := q.From(); !errors.Is(err, tt.want) {
			t.Errorf("%s: From: %v, want %v", name, err, tt.want)
		}
		if got := q.Matches(parsed(t, abc)); got != tt.match {
			t.Errorf("%s: matches %v, want %v", name, got, tt.match)
		}
	}
}

func TestAPageBeginsAtTheCursorOrAtTheFirstKeyOfThePrefix(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		q    Query
		want string
		err  error
	}{
		"the first of all":                  {Query{}, strings.Repeat("0", 32), nil},
		"the first of an odd prefix":        {Query{Prefix: "abc"}, "abc" + strings.Repeat("0", 29), nil},
		"the first of a whole key":          {Query{Prefix: abc}, abc, nil},
		"the cursor":                        {Query{Cursor: abc}, abc, nil},
		"a cursor with the prefix":          {Query{Prefix: "abc", Cursor: abc}, abc, nil},
		"a cursor of another prefix":        {Query{Prefix: "abd", Cursor: abc}, "", ErrCursor},
		"a cursor that is not a key":        {Query{Cursor: "17"}, "", ErrCursor},
		"a cursor in upper case":            {Query{Cursor: strings.ToUpper(abc)}, "", ErrCursor},
		"a wrong prefix and a wrong cursor": {Query{Prefix: "x", Cursor: "x"}, "", ErrPrefix},
	} {
		got, err := tt.q.From()
		if !errors.Is(err, tt.err) || err == nil && got.String() != tt.want {
			t.Errorf("%s: %s, %v; want %s, %v", name, got, err, tt.want, tt.err)
		}
	}
}

func TestTheSizeOfAPageIsBounded(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{-1: MaxPage, 0: MaxPage, 1: 1, 999: 999, MaxPage: MaxPage, MaxPage + 1: MaxPage} {
		if got := (Query{Limit: limit}).Size(); got != want {
			t.Errorf("limit %d: %d, want %d", limit, got, want)
		}
	}
}

func TestMatchesDoesNotAllocate(t *testing.T) {
	q, k := Query{Prefix: "abc"}, KeyOf("org.example.app", "key")
	if n := testing.AllocsPerRun(100, func() { q.Matches(k) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
