package repository_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// misused returns what is wrong with a call; nil if nothing is.
func misused(t *testing.T, call []string) error {
	t.Helper()
	switch call[0] {
	case "caddy":
		return misusedCaddy(t, call[1:])
	case "curl":
		return misusedCurl(call[1:])
	case "jq":
		return fmt.Errorf("jq %s", call[1])
	}
	for _, arg := range call[1:] {
		if strings.HasPrefix(arg, "examples/") || strings.HasPrefix(arg, "./examples/") || strings.HasPrefix(arg, "./internal/") {
			if _, err := os.Stat(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

// withRoot are the commands that exist only in a running Caddy: they are made together with its root command.
var withRoot = []string{"completion", "manpage"}

// misusedCaddy checks a call of Caddy's command, and the flags of all its subcommands.
func misusedCaddy(t *testing.T, args []string) error {
	t.Helper()
	if len(args) == 0 {
		return errors.New("caddy has no subcommand")
	}
	if slices.Contains(withRoot, args[0]) {
		return nil
	}
	registered, ok := caddycmd.Commands()[args[0]]
	if !ok {
		return fmt.Errorf("there is no caddy %s", args[0])
	}
	cmd := &cobra.Command{Use: registered.Name}
	if registered.CobraFunc != nil {
		registered.CobraFunc(cmd)
	}
	if registered.Flags != nil {
		cmd.Flags().AddGoFlagSet(registered.Flags)
	}
	cmd, unknown := resolve(cmd, args[1:])
	if unknown != "" {
		return fmt.Errorf("there is no caddy %s %s", args[0], unknown)
	}
	if err := cmd.ParseFlags(args[1:]); err != nil {
		return fmt.Errorf("caddy %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// curlOptions are the options of curl that the pages use, and whether they take a value.
var curlOptions = map[string]bool{
	"-k": false, "-i": false, "-s": false, "-sS": false, "-w": true, "-X": true, "-H": true, "--header": true, "-d": true, "--data": true,
}

// askedPaths are the paths that the pages ask for. They are those of the gateway, of its examples, of Caddy and of homeservers.
var askedPaths = regexp.MustCompile(`^/(?:_matrix/push/v1/notify|_matrix/client/v3/pushers|_synapse/admin/v1/users/@alice:example\.org/pushers|` +
	`up/demo|webpush/demo|matrix_push/[a-z/]+|config/apps/matrix_push/[\w./*]+)$`)

// misusedCurl checks a call of curl: its options, its one URL, and its data, which is JSON.
func misusedCurl(args []string) error {
	var urls []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") {
			urls = append(urls, arg)
			continue
		}
		valued, ok := curlOptions[arg]
		if !ok {
			return fmt.Errorf("curl has no option %s that the pages use", arg)
		}
		if !valued {
			continue
		}
		if len(args) == 0 {
			return fmt.Errorf("curl %s has no value", arg)
		}
		if err := misusedValue(arg, args[0]); err != nil {
			return err
		}
		args = args[1:]
	}
	if len(urls) != 1 {
		return fmt.Errorf("curl has the URLs %q", urls)
	}
	if !strings.Contains(urls[0], "://") {
		urls[0] = "http://" + urls[0]
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return err
	}
	if host := u.Hostname(); host != "localhost" && !strings.HasSuffix(host, ".example.org") {
		return fmt.Errorf("%s is neither an example nor localhost", host)
	}
	if !askedPaths.MatchString(u.Path) {
		return fmt.Errorf("%s is not a path that the pages ask for", u.Path)
	}
	return nil
}

func misusedValue(option, value string) error {
	switch option {
	case "-d", "--data":
		if !json.Valid([]byte(value)) {
			return fmt.Errorf("%s is not JSON", value)
		}
	case "-H", "--header":
		if name, content, ok := strings.Cut(value, ": "); !ok || strings.Contains(name, " ") || content == "" {
			return fmt.Errorf("%q is not a header", value)
		}
	case "-X":
		if !slices.Contains([]string{"GET", "PUT", "POST", "PATCH", "DELETE"}, value) {
			return fmt.Errorf("%s is not a method", value)
		}
	}
	return nil
}

// faultsOf runs the commands of a block, and returns what is wrong with them.
func (s *shell) faultsOf(t *testing.T, b block) (faults []error) {
	t.Helper()
	calls, err := s.run(t, b.text)
	if err != nil {
		return []error{err}
	}
	for _, call := range calls {
		if err := misused(t, call); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// sampleOf returns the log of the sample day.
func sampleOf(blocks []block) (log string) {
	for _, b := range blocks {
		if b.language == "jsonl" {
			log += b.text
		}
	}
	return log
}

func TestTheCommandsOfThePagesRun(t *testing.T) {
	t.Parallel()
	atTop(t)
	blocks := allBlocks(t)
	s, ran := newShell(t, sampleOf(blocks)), 0
	exports := make(map[string]string) // by page: a block of exports is for all blocks below it
	for _, b := range blocks {
		if b.language != "sh" {
			continue
		}
		if strings.HasPrefix(b.text, "export ") {
			exports[b.page] += b.text
			continue
		}
		b.text = exports[b.page] + b.text
		ran++
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			if s.jq == "" && strings.Contains(b.text, "jq ") {
				notInstalled(t, "jq")
			}
			for _, err := range s.faultsOf(t, b) {
				t.Errorf("%v\n%s", err, b.text)
			}
		})
	}
	if ran < 50 {
		t.Errorf("only %d blocks have commands", ran)
	}
}

func TestACommandThatDoesNotWorkIsFound(t *testing.T) {
	t.Parallel()
	atTop(t)
	s := newShell(t, `{"level":"info","ts":1.5,"msg":"a","reason":"gone"}`+"\n")
	for name, c := range map[string]struct{ commands, fault string }{
		"a right command":            {`caddy matrix-push send --app-id org.example.ios --pushkey -`, ""},
		"a command of Caddy":         {`caddy adapt --pretty --config Caddyfile`, ""},
		"a right filter":             {`journalctl -o cat | jq -r 'select(.reason == "gone") | .msg' | sort`, ""},
		"a right request":            {`curl -k https://localhost:8443/_matrix/push/v1/notify -d '{"notification": {}}'`, ""},
		"a quote that is not closed": {`curl 'https://push.example.org/_matrix/push/v1/notify`, "quote"},
		"a program nobody knows":     {`frobnicate --now`, "not found"},
		"an unset variable":          {`curl -H "Authorization: $NOBODY" https://matrix.example.org/_matrix/client/v3/pushers`, "NOBODY"},
		"no such command":            {`caddy matrix-push sned --app-id a`, "there is no caddy matrix-push sned"},
		"no such flag":               {`caddy matrix-push send --appid a`, "unknown flag: --appid"},
		"no such flag of Caddy":      {`caddy reload --forced`, "unknown flag: --forced"},
		"no such command of Caddy":   {`caddy relaod`, "there is no caddy relaod"},
		"a filter with a mistake":    {`journalctl -o cat | jq 'select(.reason == "gone"' | sort`, "jq fails"},
		"a filter that finds none":   {`journalctl -o cat | jq 'select(.raeson == "gone")' | sort`, "jq finds nothing"},
		"data that is not JSON":      {`curl https://push.example.org/_matrix/push/v1/notify -d '{"notification": {}'`, "is not JSON"},
		"two URLs":                   {`curl https://push.example.org /_matrix/push/v1/notify`, "has the URLs"},
		"another path":               {`curl https://push.example.org/_matrix/push/notify`, "is not a path"},
		"somebody's host":            {`curl https://matrix.org/_matrix/push/v1/notify`, "neither an example"},
		"an option of no use":        {`curl --fail-wth-body https://push.example.org/_matrix/push/v1/notify`, "no option"},
		"a header without a name":    {`curl -H Bearer https://matrix.example.org/_matrix/client/v3/pushers`, "is not a header"},
		"a folder that is gone":      {`go run ./examples/nowhere`, "examples/nowhere"},
		"a file that is gone":        {`install -m 644 examples/systemd/nowhere.service /etc/systemd/system/`, "nowhere.service"},
		"a file outside":             {`caddy matrix-push status >/etc/status`, "outside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.jq == "" && strings.Contains(c.commands, "jq ") {
				notInstalled(t, "jq")
			}
			got := errors.Join(s.faultsOf(t, block{page: "page.md", text: c.commands})...)
			if (got == nil) != (c.fault == "") || got != nil && !strings.Contains(strings.ToLower(got.Error()), strings.ToLower(c.fault)) {
				t.Errorf("got %v, want %q", got, c.fault)
			}
		})
	}
}

// spanOfCaddy matches a code span with a command of Caddy. docs_test.go checks those with matrix-push.
var spanOfCaddy = regexp.MustCompile("`(?:\\./)?caddy ([a-z][^`\n]*)`")

func TestTheCommandsInTheTextExist(t *testing.T) {
	t.Parallel()
	atTop(t)
	checked := 0
	for page, text := range markdown(t) {
		if page == "CHANGELOG.md" {
			continue
		}
		for _, m := range spanOfCaddy.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
			checked++
			if err := misusedCaddy(t, wordsOf(m[1])); err != nil {
				t.Errorf("%s: `caddy %s`: %v", page, m[1], err)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d commands were checked: the pattern finds too few", checked)
	}
}

// wordsOf returns the words of a command in a text, up to those that are optional. A word that the reader replaces becomes an x.
func wordsOf(command string) (words []string) {
	for _, word := range strings.Fields(command) {
		if strings.ContainsAny(word, "[|") {
			break
		}
		if strings.ContainsAny(word, "<>…") {
			word = "x"
		}
		words = append(words, word)
	}
	return words
}
