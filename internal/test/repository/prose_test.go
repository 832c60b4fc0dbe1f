package repository_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prose"
)

// goFiles are the module's Go files, except the list of phrases itself.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || path == filepath.Join("internal", "test", "prose")):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestNoPageHasAPhraseThatReadersMustDecode(t *testing.T) {
	t.Parallel()
	atTop(t)
	for page, text := range markdown(t) {
		for _, f := range prose.Phrases(prose.WithoutCode(text)) {
			t.Errorf("%s:%d: %q: instead: %s", page, f.Line, f.Phrase, f.Instead)
		}
	}
}

// Comments become documentation; strings are errors, messages of the log, and what the command prints.
func TestNoCommentOrMessageHasAPhraseThatReadersMustDecode(t *testing.T) {
	t.Parallel()
	atTop(t)
	found := 0
	for _, file := range goFiles(t) {
		texts, err := prose.Go(file, []byte(read(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		found += len(texts)
		for _, text := range texts {
			for _, f := range prose.Phrases(text.Text) {
				t.Errorf("%s:%d: %q: instead: %s", file, text.Line+f.Line-1, f.Phrase, f.Instead)
			}
		}
	}
	if found < 10000 {
		t.Errorf("%d texts were found: too few", found)
	}
}

func TestNearlyAllSentencesOfThePagesAreShort(t *testing.T) {
	t.Parallel()
	atTop(t)
	sentences, long := 0, 0
	for page, text := range markdown(t) {
		for _, s := range prose.Markdown(text) {
			sentences++
			if n := s.Words(); n > prose.MaxWords {
				long++
				t.Logf("%s:%d: %d words: %s", page, s.Line, n, s.Text)
			}
		}
	}
	if sentences < 1000 || long*20 > sentences {
		t.Errorf("%d of %d sentences have more than %d words", long, sentences, prose.MaxWords)
	}
}
