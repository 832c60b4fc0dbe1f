package repository_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The shell runs the pages' commands, but with programs that only note how they were called. So quotes, pipes and loops are the shell's
// own, and nothing happens. jq is the real one: journalctl and docker print the log of the sample day for it.

// noting are the programs that only note their arguments.
var noting = []string{
	"caddy", "chmod", "cp", "curl", "docker", "getent", "git", "go", "install", "journalctl", "loadtest-new", "man", "mv", "ntfy", "openssl", "systemctl", "tee",
	"unshare", "xcaddy",
}

// passing are the programs that are run as they are. They change nothing outside the folder that they run in.
var passing = []string{"cat", "grep", "mkdir", "sort", "uniq"}

// Each call has a separate file in the folder CALLS, because the programs of a pipeline run at the same time.
const (
	noter = `#!/bin/sh
printf '%s\037' "${0##*/}" "$@" >"$CALLS/$$"
case ${0##*/} in
journalctl | docker) while IFS= read -r line; do printf '%s\n' "$line"; done <"$SAMPLE" ;;
caddy) echo BMSF matrix_push.providers.apns ;;
esac
`
	// A pipeline ends with the status of its last program, so jq notes its own. A filter that finds nothing in the sample is a mistake, too.
	jqNoter = `#!/bin/sh
found=$("$JQ" "$@" 2>&1) || { printf 'jq\037fails: %s\037' "$found" >"$CALLS/$$"; exit 1; }
[ -n "$found" ] || printf 'jq\037finds nothing\037' >"$CALLS/$$"
printf '%s\n' "$found"
`
)

// shell has a folder with the programs, and one to run in.
type shell struct {
	sh, bin, sample string
	jq              string // empty if jq is not installed
}

// notInstalled skips a test because a program is not installed, or fails it in CI.
func notInstalled(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("CI_REQUIRE_TOOLS") != "" {
		t.Fatalf("%s is not installed, but CI_REQUIRE_TOOLS is set", name)
	}
	t.Skipf("the commands of the pages are not run: %s is not installed", name)
}

func newShell(t *testing.T, sample string) *shell {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		notInstalled(t, "sh")
	}
	s := &shell{sh: sh, bin: t.TempDir(), sample: filepath.Join(t.TempDir(), "sample.log")}
	s.jq, _ = exec.LookPath("jq")
	scripts := map[string]string{s.sample: sample, filepath.Join(s.bin, "jq"): jqNoter, filepath.Join(s.bin, "sudo"): "#!/bin/sh\nexec \"$@\"\n"}
	for _, name := range noting {
		scripts[filepath.Join(s.bin, name)] = noter
	}
	for file, text := range scripts {
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range passing {
		path, err := exec.LookPath(name)
		if err != nil {
			notInstalled(t, name)
		}
		if err := os.Symlink(path, filepath.Join(s.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

var (
	// inFolder matches a program that a page runs from a folder.
	inFolder = regexp.MustCompile(`(?m)^(\s*|.*\| *|.*&& *)(?:\./|/tmp/)([\w-]+)( |$)`)
	// outside matches a redirection to a file outside the working folder.
	outside = regexp.MustCompile(`>\s*(?:~|/(?:[^d]|d[^e]|de[^v]))`)
)

// run runs commands, and returns how they call programs.
func (s *shell) run(t *testing.T, commands string) (calls [][]string, err error) {
	t.Helper()
	if outside.MatchString(commands) {
		return nil, errors.New("it writes outside its folder")
	}
	folder, notes := t.TempDir(), t.TempDir()
	for _, name := range []string{"config.json", "caddy.log"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(`{"push": {}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The folders of the pages do not exist here.
	script := "cd() { :; }\n" + inFolder.ReplaceAllString(commands, "$1$2$3")
	cmd := exec.CommandContext(t.Context(), s.sh, "-eu", "-c", script)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + s.bin, "HOME=" + folder, "CALLS=" + notes, "SAMPLE=" + s.sample, "JQ=" + s.jq, "TOKEN=secret", "ADMIN_TOKEN=secret"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	noted, err := filepath.Glob(filepath.Join(notes, "*"))
	if err != nil {
		return nil, err
	}
	if len(noted) == 0 {
		return nil, errors.New("it runs none of the programs that are checked")
	}
	for _, file := range noted {
		call, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		calls = append(calls, strings.Split(strings.TrimSuffix(string(call), "\037"), "\037"))
	}
	return calls, nil
}
