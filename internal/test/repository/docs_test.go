package repository_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/matrix-push/caddy-matrix-push/caddymodule"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/xmpp"
)

const adminPage = "docs/admin.md"

// pages returns all pages for operators.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, file := range append(files, "README.md", "CHANGELOG.md") {
		texts[file] = read(t, file)
	}
	return texts
}

func TestEveryAdminRouteIsDocumentedAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	atTop(t)
	var routes []string
	for _, r := range append(new(caddymodule.Admin).Routes(), new(xmpp.Admin).Routes()...) {
		routes = append(routes, r.Pattern)
		if !regexp.MustCompile(regexp.QuoteMeta(r.Pattern) + `[^a-z/]`).MatchString(read(t, adminPage)) {
			t.Errorf("%s has no %s", adminPage, r.Pattern)
		}
	}
	if len(routes) < 10 {
		t.Errorf("there are only %d routes", len(routes))
	}
	mentioned := regexp.MustCompile("(?:[\\s`\"'(]|:2019)(/matrix_push/[a-z_/]*[a-z])")
	for file, text := range pages(t) {
		for _, m := range mentioned.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(routes, m[1]) {
				t.Errorf("%s has the route %s, which does not exist", file, m[1])
			}
		}
	}
}

// command returns `caddy matrix-push` with its subcommands.
func command(t *testing.T) *cobra.Command {
	t.Helper()
	registered, ok := caddycmd.Commands()["matrix-push"]
	if !ok {
		t.Fatal("there is no command matrix-push")
	}
	cmd := &cobra.Command{Use: registered.Name}
	registered.CobraFunc(cmd)
	return cmd
}

// leaves returns the commands below a command that do something.
func leaves(cmd *cobra.Command) (list []*cobra.Command) {
	if !cmd.HasSubCommands() {
		return []*cobra.Command{cmd}
	}
	for _, sub := range cmd.Commands() {
		list = append(list, leaves(sub)...)
	}
	return list
}

func TestEveryCommandAndFlagIsDocumented(t *testing.T) {
	t.Parallel()
	atTop(t)
	page := read(t, adminPage)
	list := leaves(command(t))
	for _, cmd := range list {
		_, name, _ := strings.Cut(cmd.CommandPath(), " ")
		if !regexp.MustCompile("`(?:caddy matrix-push )?" + name + "[ `]").MatchString(page) {
			t.Errorf("%s has no caddy %s", adminPage, cmd.CommandPath())
		}
		documented := func(f *pflag.Flag) {
			if !regexp.MustCompile(`--` + f.Name + `[^a-z-]`).MatchString(page) {
				t.Errorf("%s has no --%s of caddy %s", adminPage, f.Name, cmd.CommandPath())
			}
		}
		cmd.LocalFlags().VisitAll(documented)
		cmd.InheritedFlags().VisitAll(documented)
	}
	if len(list) < 10 {
		t.Errorf("there are only %d commands", len(list))
	}
}

func TestEveryCommandAndFlagInTheDocumentationExists(t *testing.T) {
	t.Parallel()
	atTop(t)
	mentioned := regexp.MustCompile(`caddy matrix-push((?: [a-z][a-z-]*)*)([^\n` + "`" + `|]*)`)
	flag := regexp.MustCompile(` --([a-z][a-z-]*)`)
	texts := pages(t)
	for _, pattern := range []string{"examples/*/*", "Caddyfile.example"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				texts[file] = read(t, file)
			}
		}
	}
	for file, text := range texts {
		for _, m := range mentioned.FindAllStringSubmatch(text, -1) {
			cmd, err := resolve(command(t), strings.Fields(m[1]))
			if err != "" {
				t.Errorf("%s: %q: there is no command %q", file, m[0], err)
				continue
			}
			for _, f := range flag.FindAllStringSubmatch(m[2], -1) {
				if cmd.Flag(f[1]) == nil && cmd.InheritedFlags().Lookup(f[1]) == nil && f[1] != "help" {
					t.Errorf("%s: caddy %s has no --%s", file, cmd.CommandPath(), f[1])
				}
			}
		}
	}
}

// resolve finds the command that the words name, without its arguments. If there is none, it returns the word that names no command.
func resolve(cmd *cobra.Command, words []string) (found *cobra.Command, unknown string) {
	for _, word := range words {
		if !cmd.HasSubCommands() {
			break
		}
		i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
		if i < 0 {
			return nil, word
		}
		cmd = cmd.Commands()[i]
	}
	return cmd, ""
}

// securityPage is the page that names the test of each defence.
const securityPage = "docs/security.md"

func TestEveryTestThatTheSecurityPageNamesExists(t *testing.T) {
	t.Parallel()
	atTop(t)
	tests := testNames(t)
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(read(t, securityPage), -1)
	if len(named) < 20 {
		t.Errorf("%s names only %d tests", securityPage, len(named))
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("%s names the test %s, which does not exist", securityPage, m[1])
		}
	}
}

// testNames returns the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			for _, m := range declared.FindAllStringSubmatch(read(t, path), -1) {
				tests[m[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
