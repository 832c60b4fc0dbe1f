package command

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls fn with each command and its words, as Caddy has them.
func everyCommand(t *testing.T, fn func(cmd *cobra.Command, words []string)) {
	t.Helper()
	root := world{}.root(t, new(program))
	var visit func(cmd *cobra.Command, words []string)
	visit = func(cmd *cobra.Command, words []string) {
		fn(cmd, words)
		for _, sub := range cmd.Commands() {
			visit(sub, append(words[:len(words):len(words)], sub.Name()))
		}
	}
	visit(root.Commands()[0], nil)
}

func TestEveryCommandHasExamplesThatAreRight(t *testing.T) {
	t.Parallel()
	left := len(examples)
	everyCommand(t, func(cmd *cobra.Command, words []string) {
		if cmd.Example == "" {
			t.Errorf("%q has no example", words)
		}
		if !cmd.HasSubCommands() {
			left--
		}
		for line := range strings.Lines(cmd.Example) {
			args := strings.Fields(line)
			if len(args) < 3 || args[0] != "caddy" || args[1] != "matrix-push" {
				t.Errorf("%q is not an example of the command", line)
				continue
			}
			named, rest, err := cmd.Root().Find(args[1:])
			if err != nil || !strings.HasPrefix(named.CommandPath()+" ", cmd.CommandPath()+" ") {
				t.Errorf("%q of %q names %q: %v", line, words, named.CommandPath(), err)
			}
			if err := named.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			if err := named.ValidateArgs(named.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
	if left != 0 {
		t.Errorf("%d examples are of no command", left)
	}
}

func TestEveryHelpFitsATerminalAndNamesThePage(t *testing.T) {
	t.Parallel()
	module, inside, _ := strings.Cut(reflect.TypeFor[program]().PkgPath(), "/caddymodule/")
	name, ok := strings.CutPrefix(page, "https://"+module+"/blob/main/")
	if !ok {
		t.Errorf("%s is not a page of %s", page, module)
	}
	if _, err := os.Stat(filepath.Join(strings.Repeat("../", strings.Count("caddymodule/"+inside, "/")+1), name)); err != nil {
		t.Error(err)
	}
	everyCommand(t, func(_ *cobra.Command, words []string) {
		r := world{}.run(t, append(words[:len(words):len(words)], "--help")...)
		r.want(t, 0, "Examples:\n  caddy matrix-push ", "Documentation:\n"+page+"\n")
		if strings.Contains(r.out, "caddyserver.com") {
			t.Errorf("%q --help names Caddy's page", words)
		}
		fits(t, r.out)
	})
}

// fits wants lines that fit 80 columns.
func fits(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if columns(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("wider than 80 columns: %q", line)
		}
	}
}

// P18: an unknown command "sned" had no suggestion.
func TestAMisspeltCommandOrFlagHasASuggestion(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"sned":                      `unknown command "sned": did you mean "send"?`,
		"stauts":                    `did you mean "status"?`,
		"vapid_keygen":              `did you mean "vapid-keygen"?`,
		"rejected explian":          `did you mean "explain"?`,
		"outbox lst":                `did you mean "list"?`,
		"fuse rest":                 `did you mean "reset"?`,
		"outbox nonsense":           `unknown command "nonsense": the commands are drop, list, move-shards, retry`,
		"nonsense":                  `the commands are check, doctor, fuse, outbox, rejected, send, simulate, status, ui, vapid-key, vapid-keygen`,
		"status --addr x":           `unknown flag: --addr: did you mean "--address"?`,
		"status --stict":            `did you mean "--strict"?`,
		"send --appid a":            `did you mean "--app-id"?`,
		"rejected explain --pushky": `did you mean "--pushkey"?`,
		"outbox list --nonsense":    "unknown flag: --nonsense\n",
		"status -x":                 "unknown shorthand flag: 'x' in -x\n",
	} {
		world{}.run(t, strings.Fields(args)...).want(t, exitUsage, want)
	}
}
