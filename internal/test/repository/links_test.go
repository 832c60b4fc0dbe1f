package repository_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// markdown returns all pages of the repository by their paths, without those in testdata.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "dist"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".md"):
			texts[path] = read(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var (
	codeBlock  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)|(?m)^\[[^\]]+\]: (\S+)$`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	linkedText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(text string) (slugs []string) {
	seen := make(map[string]int)
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, linkedText.ReplaceAllString(m[1], "$1"))
		if n := seen[slug]; n > 0 {
			slugs = append(slugs, fmt.Sprintf("%s-%d", slug, n))
		} else {
			slugs = append(slugs, slug)
		}
		seen[slug]++
	}
	return slugs
}

// dead returns the links of a page to files and anchors that do not exist. It does not check links to other sites.
func dead(page string, pages map[string]string) (links []string, checked int) {
	text := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(pages[page], ""), "")
	for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
		target := m[1] + m[2]
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		checked++
		path, anchor, anchored := strings.Cut(target, "#")
		file := page
		if path != "" {
			file = filepath.Join(filepath.Dir(page), path)
		}
		text, ok := pages[file]
		if _, err := os.Stat(file); err != nil && !ok || anchored && !slices.Contains(anchors(text), anchor) {
			links = append(links, target)
		}
	}
	return links, checked
}

func TestNoLinkLeadsNowhere(t *testing.T) {
	t.Parallel()
	atTop(t)
	pages := markdown(t)
	all := 0
	for page := range pages {
		links, checked := dead(page, pages)
		all += checked
		for _, link := range links {
			t.Errorf("%s links to %s, which does not exist", page, link)
		}
	}
	if all < 200 {
		t.Errorf("only %d links were checked: the pattern finds too few", all)
	}
}

func TestADeadLinkIsFound(t *testing.T) {
	t.Parallel()
	atTop(t)
	const text = "# A `page`, and: more\n\n## More\n\n## More\n\n[a](README.md) [b](#a-page-and-more) [c](#more-1) [d](https://example.org/nothing)\n" +
		"`[code](nowhere.md)`\n\n```sh\n# [code](nowhere.md)\n```\n\n[e](nowhere.md) [f](#more-2) [g](README.md#nowhere) [h](LICENSE#nowhere) " +
		"![i](nowhere.png)\n\n[j]: nowhere.txt\n"
	got, _ := dead("page.md", map[string]string{"page.md": text, "README.md": read(t, "README.md")})
	want := []string{"nowhere.md", "#more-2", "README.md#nowhere", "LICENSE#nowhere", "nowhere.png", "nowhere.txt"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
