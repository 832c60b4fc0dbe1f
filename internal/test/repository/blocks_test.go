package repository_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// logsPage is the page with the log of a sample day, and with commands that search it.
const logsPage = "docs/logs.md"

// block is a code block of a page.
type block struct {
	page     string
	line     int
	language string
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

var fence = regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)^ *```$")

// blocksOf returns the code blocks of a page, without the indentation that they have as part of a list.
func blocksOf(page, text string) (blocks []block) {
	for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
		indent := text[m[2]:m[3]]
		blocks = append(blocks, block{
			page: page, line: 1 + strings.Count(text[:m[0]], "\n"), language: text[m[4]:m[5]],
			text: regexp.MustCompile(`(?m)^`+indent).ReplaceAllString(text[m[6]:m[7]], ""),
		})
	}
	return blocks
}

// allBlocks returns the code blocks of all pages.
func allBlocks(t *testing.T) (blocks []block) {
	t.Helper()
	pages := markdown(t)
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		blocks = append(blocks, blocksOf(page, pages[page])...)
	}
	return blocks
}

// readers check that a block can be read by what it is for, by languages. TestTheDocumentationsConfigurationsAdaptAndValidate checks
// Caddyfiles, and TestTheCommandsOfThePagesRun checks commands.
var readers = map[string]func(text string) error{
	"json":  func(text string) error { return json.Unmarshal([]byte(text), new(any)) },
	"jsonl": readLog,
	"toml": func(text string) error {
		_, err := toml.Decode(text, new(map[string]any))
		return err
	},
	"yaml": func(text string) error { return yaml.Unmarshal([]byte(text), new(map[string]any)) },
}

// unread are the other languages: Caddyfiles and commands, and those for which there is no reader here.
var unread = []string{"", "caddyfile", "go", "haproxy", "js", "nginx", "sh", "text"}

// readLog reads lines of Caddy's log.
func readLog(text string) error {
	for line := range strings.Lines(text) {
		var l struct {
			Level, Msg string
			TS         float64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			return fmt.Errorf("%w: %s", err, line)
		}
		if l.Level == "" || l.Msg == "" || l.TS == 0 {
			return errors.New("not a line of Caddy's log: " + line)
		}
	}
	return nil
}

// faultOf returns what is wrong with a block; nil if nothing is, or if its language has no reader.
func faultOf(b block) error {
	read, ok := readers[b.language]
	if !ok && !slices.Contains(unread, b.language) {
		return fmt.Errorf("nothing here reads %s: add it to readers or unread", b.language)
	}
	if !ok {
		return nil
	}
	return read(b.text)
}

func TestTheConfigurationsOfThePagesCanBeRead(t *testing.T) {
	t.Parallel()
	atTop(t)
	checked := make(map[string]int)
	for _, b := range allBlocks(t) {
		checked[b.language]++
		if err := faultOf(b); err != nil {
			t.Errorf("%s: %s: %v", b, b.language, err)
		}
	}
	for language, least := range map[string]int{"json": 25, "jsonl": 2, "toml": 1, "yaml": 3} {
		if n := checked[language]; n < least {
			t.Errorf("only %d blocks are %s", n, language)
		}
	}
}

func TestAConfigurationThatCannotBeReadIsFound(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]block{
		"a comma too many":        {language: "json", text: `{"push": {"appId": "org.example.web",}}`},
		"a quote too few":         {language: "json", text: `{"push": {"appId: "org.example.web"}}`},
		"a key twice":             {language: "yaml", text: "push:\n  enabled: true\npush:\n  enabled: false\n"},
		"a tab in YAML":           {language: "yaml", text: "push:\n\tenabled: true\n"},
		"an array that goes on":   {language: "toml", text: "[global]\nip_range_denylist = [\"127.0.0.0/8\"\n"},
		"a line that isn't JSON":  {language: "jsonl", text: "{\"level\":\"info\",\"ts\":1.5,\"msg\":\"a\"}\nCaddy started\n"},
		"a line without a time":   {language: "jsonl", text: `{"level":"info","msg":"a"}`},
		"a language without name": {language: "ini", text: "a=b"},
	} {
		if faultOf(b) == nil {
			t.Errorf("%s: nothing is found", name)
		}
	}
	indented := blocksOf("page.md", "1. A step:\n\n   ```json\n   {\"a\": 1}\n   ```\n")
	if len(indented) != 1 || indented[0].line != 3 || indented[0].text != "{\"a\": 1}\n" {
		t.Errorf("got %+v", indented)
	}
}

// The page shows what the gateway writes, so its messages are those that the page on metrics and logs explains.
func TestTheSampleDaysMessagesAreDocumented(t *testing.T) {
	t.Parallel()
	atTop(t)
	gateways := 0
	for _, b := range allBlocks(t) {
		if b.language != "jsonl" {
			continue
		}
		if b.page != logsPage {
			t.Errorf("%s: only %s has a log", b, logsPage)
		}
		for _, msg := range undocumented(t, b.text, read(t, "docs/metrics.md"), &gateways) {
			t.Errorf("%s: docs/metrics.md has no message %q", b, msg)
		}
	}
	if gateways < 10 {
		t.Errorf("only %d lines are the gateway's", gateways)
	}
}

var outcome = regexp.MustCompile(`^push [a-z]+$`)

// undocumented returns the gateway's messages of a log that a page does not have. The page has the messages of attempts as a rule.
func undocumented(t *testing.T, log, page string, gateways *int) (messages []string) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(log))
	for lines.Scan() {
		var l struct{ Logger, Msg string }
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Logger != "matrix_push" && !strings.HasPrefix(l.Logger, "matrix_push.") {
			continue
		}
		*gateways++
		if !outcome.MatchString(l.Msg) && !strings.Contains(page, "`"+l.Msg+"`") {
			messages = append(messages, l.Msg)
		}
	}
	return messages
}

func TestAMessageThatNoPageExplainsIsFound(t *testing.T) {
	t.Parallel()
	n := 0
	got := undocumented(t, `{"logger":"matrix_push","msg":"push rejected"}
{"logger":"matrix_push","msg":"fuse reset"}
{"logger":"matrix_push.outbox.file","msg":"the outbox burns"}
{"logger":"tls","msg":"certificate obtained successfully"}
`, "| `fuse reset` | info |", &n)
	if !slices.Equal(got, []string{"the outbox burns"}) || n != 3 {
		t.Errorf("got %q of %d", got, n)
	}
}

// pathNamed matches a code span that names a path of this repository.
var pathNamed = regexp.MustCompile("`((?:\\.ci|caddymodule|docs|examples|internal|outbox|providers|rejected)/[\\w./-]*)`")

// elsewhere matches a link to a file or folder of another repository. The paths on its line are of that repository.
var elsewhere = regexp.MustCompile(`\]\(https://github\.com/[\w.-]+/[\w.-]+/(?:tree|blob)/`)

// strangePaths returns the paths of a page that do not exist. The page is in a folder, so a path may be relative to that.
func strangePaths(text string, exists func(path string) bool) (paths []string, checked int) {
	for line := range strings.Lines(codeBlock.ReplaceAllString(text, "")) {
		if elsewhere.MatchString(line) {
			continue
		}
		for _, m := range pathNamed.FindAllStringSubmatch(line, -1) {
			if checked++; !exists(strings.TrimSuffix(m[1], "/")) {
				paths = append(paths, m[1])
			}
		}
	}
	return paths, checked
}

func TestThePathsThatPagesNameExist(t *testing.T) {
	t.Parallel()
	atTop(t)
	all := 0
	for page, text := range markdown(t) {
		// The changelog names what was. The corpus names files of homeservers.
		if page == "CHANGELOG.md" || strings.HasPrefix(page, "internal/test/corpus/") {
			continue
		}
		paths, checked := strangePaths(text, func(path string) bool {
			found, err := filepath.Glob(strings.TrimSuffix(path, "/..."))
			return err == nil && len(found) > 0
		})
		all += checked
		for _, path := range paths {
			t.Errorf("%s names %s, which does not exist", page, path)
		}
	}
	if all < 80 {
		t.Errorf("only %d paths were checked: the pattern finds too few", all)
	}
}

func TestAPathThatDoesNotExistIsFound(t *testing.T) {
	t.Parallel()
	const text = "`examples/caddy` and `examples/nowhere`\n| [other](https://github.com/a/b/tree/c) | `internal/pushgateway/client.go` |\n" +
		"```sh\nls `internal/nowhere`\n```\n"
	got, checked := strangePaths(text, func(path string) bool { return path == "examples/caddy" })
	if !slices.Equal(got, []string{"examples/nowhere"}) || checked != 2 {
		t.Errorf("got %q of %d", got, checked)
	}
}
