package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShellsCompleteTheCommand(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	script, err := p.command("completion", "bash").Output()
	if err != nil || !strings.Contains(string(script), "__complete") {
		t.Fatalf("the script is %.200s: %v", script, err)
	}
	// This is what the script runs at each Tab.
	for typed, want := range map[string][]string{
		"matrix-push ":                       {"status\t", "send\t", "rejected\t", "outbox\t", "fuse\t", "vapid-key\t", "vapid-keygen\t", "check\t"},
		"matrix-push rejected ":              {"explain\t", "forget\t", "list\t"},
		"matrix-push outbox list --":         {"--app\t", "--limit\t", "--address\t"},
		"matrix-push rejected explain --pus": {"--pushkey\t", "--pushkey-file\t"},
	} {
		out, err := p.command(append([]string{"__complete"}, strings.Split(typed, " ")...)...).Output()
		if err != nil {
			t.Errorf("%s: %v", typed, err)
		}
		for _, text := range want {
			if !strings.Contains("\n"+string(out), "\n"+text) {
				t.Errorf("caddy %s<Tab> has no %q:\n%s", typed, text, out)
			}
		}
	}
}

func TestEveryCommandHasAManPage(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	folder := filepath.Join(p.dir, "man")
	if out, err := p.command("manpage", "--directory", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{
		"", "-status", "-send", "-rejected", "-rejected-list", "-rejected-explain", "-rejected-forget", "-outbox", "-outbox-list", "-outbox-retry",
		"-outbox-drop", "-fuse", "-fuse-reset", "-vapid-key", "-vapid-keygen", "-check",
	} {
		text, err := os.ReadFile(filepath.Join(folder, "caddy-matrix-push"+name+".8"))
		if err != nil || !strings.Contains(string(text), "\n  caddy matrix-push ") {
			t.Errorf("the man page of matrix-push%s has no example: %v", name, err)
		}
	}
}
