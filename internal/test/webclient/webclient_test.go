package webclient_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const folder = "../../../examples/webclient"

// node runs a file of tests with Node's own test runner.
func node(t *testing.T, file string) {
	t.Helper()
	t.Parallel()
	program, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI_REQUIRE_TOOLS") != "" {
			t.Fatal("node is not installed, but CI_REQUIRE_TOOLS is set")
		}
		t.Skip("node is not installed")
	}
	read(t, "test/"+file) // so Go runs the test again if the file has changed
	command := exec.CommandContext(t.Context(), program, "--test", "test/"+file)
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestV10_EachPushIsShown(t *testing.T)                     { node(t, "notification.test.js") }
func TestV11_EachAnswerOfAHomeserverIsUnderstood(t *testing.T) { node(t, "homeserver.test.js") }
func TestV12_EachAnswerOfTheGatewayIsUnderstood(t *testing.T)  { node(t, "gateway.test.js") }

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A policy in the page protects copies whose server sends no header. Only a header can forbid frames.
func TestV14_ThePageHasThePolicyOfTheQuickStart(t *testing.T) {
	t.Parallel()
	meta := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]+)"`).FindStringSubmatch(read(t, "index.html"))
	header := regexp.MustCompile(`Content-Security-Policy "([^"]+)"`).FindStringSubmatch(read(t, "../../Caddyfile.example"))
	if meta == nil || header == nil {
		t.Fatal("index.html or Caddyfile.example has no policy")
	}
	if header[1] != meta[1]+"; frame-ancestors 'none'" {
		t.Errorf("the header is %q, and the page has %q", header[1], meta[1])
	}
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; worker-src 'self'; " +
		"connect-src 'self' https: http://localhost:* http://127.0.0.1:*; base-uri 'none'; form-action 'none'"
	if meta[1] != want {
		t.Errorf("got  %s\nwant %s", meta[1], want)
	}
	for _, page := range []string{"README.md", "../../docs/webclient.md"} {
		if !strings.Contains(read(t, page), header[1]) {
			t.Errorf("%s doesn't have the policy of Caddyfile.example", page)
		}
	}
}

// What the policy would refuse must not be there, and nothing may come from another site.
func TestV14_ThePageHasNoInlineCodeAndNothingFromOtherSites(t *testing.T) {
	t.Parallel()
	refused := map[string]*regexp.Regexp{
		"a style in the page":      regexp.MustCompile(`<style|style="`),
		"a handler in the page":    regexp.MustCompile(`\son\w+="`),
		"a file of another site":   regexp.MustCompile(`(?:src|href)="(?:https?:)?//|@import|url\(`),
		"an import of another one": regexp.MustCompile(`(?:from|import\() ?['"](?:https?:)?//`),
		"HTML from a text":         regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`),
		"a line for the log":       regexp.MustCompile(`console\.`),
	}
	page := read(t, "index.html")
	ours := regexp.MustCompile(`<script type="module" src="[\w./]+"></script>`)
	if strings.Count(page, "<script") != len(ours.FindAllString(page, -1)) {
		t.Error("index.html has an inline script")
	}
	files := 0
	for _, pattern := range []string{"*.html", "*.css", "*.js", "lib/*.js", "page/*.js"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			files++
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for what, matched := range refused {
				if m := matched.Find(content); m != nil {
					t.Errorf("%s has %s: %s", file, what, m)
				}
			}
		}
	}
	if files < 15 {
		t.Errorf("only %d files were read", files)
	}
}
