package prose_test

import (
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prose"
)

func TestPhrasesAreFoundUnlessTheyAreRight(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"It says whether it works.":                      {"says whether"},
		"It reports whether it works.":                   nil,
		"Only you can mend it,\nso that it works again.": {"mend", "so that"},
		"There is no app.":                               nil,
		"The app is no provider.":                        {"is no provider"},
		"It is no longer pending.":                       nil,
		"Rather than wait, it returns.":                  nil,
		"It is rather a setting.":                        {"rather"},
		"In front of your own push server":               nil,
		"A store of its own.":                            {"of its own"},
		"Reload it; it has to be open.":                  {"has to be"},
		"Sherlock Holmes told the heir.":                 nil,
		"The operator is told of it.":                    {"is told of", "told of"},
	} {
		var got []string
		for _, f := range prose.Phrases(text) {
			got = append(got, f.Phrase)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if found := prose.Phrases("One.\nTwo alone."); len(found) != 1 || found[0].Line != 2 {
		t.Errorf("got %+v", found)
	}
}

func TestSentencesOfAPageAreItsProse(t *testing.T) {
	t.Parallel()
	const page = "# A heading. With two.\n\nOne sentence. Another\none, e.g. this. `code. In a span` ends it.\n\n- an item\n- [a link](x.md). And more\n\n" +
		"| a | table. |\n\n```\ncode. Code.\n```\n\n[x]: https://example.org\n"
	var got []string
	for _, s := range prose.Markdown(page) {
		got = append(got, s.Text)
	}
	want := []string{"One sentence.", "Another one, e.g. this.", "`code. In a span` ends it.", "an item", "a link.", "And more"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := (prose.Sentence{Text: "three short words"}).Words(); n != 3 {
		t.Errorf("%d words", n)
	}
}

func TestTextsOfAGoFileAreItsCommentsAndMessages(t *testing.T) {
	t.Parallel()
	const source = "// Package x is one.\npackage x\n\n//go:generate not prose at all\n\ntype t struct {\n\tA int `json:\"not prose at all\"`\n}\n\n" +
		"var a, b = \"a message of words\", \"two words\" // says \"quoted words\" and more\n"
	texts, err := prose.Go("x.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, text := range texts {
		got = append(got, text.Text)
	}
	want := []string{"Package x is one.\n\n", "says … and more\n\n", "a message of words\n"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := prose.Go("x.go", []byte("no Go")); err == nil {
		t.Error("a file that is not Go is no error")
	}
}
