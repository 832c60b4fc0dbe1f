package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Nothing that is secret may be in a log, or in anything else that the gateway shows, whatever happens. So every test helps to look for
// it, without doing anything: what the run sends and is given is noted (rig_canaries_sent_test.go, rig_canaries_credentials_test.go), what
// its processes write is kept, and when all have ended the one is looked for in the other (rig_canaries_search_test.go). What is found
// fails the run.

// canaries are the secrets of this run and the logs that must not have them.
var canaries = newLedger()

// The kinds of secrets.
const (
	aPushkey    = "a pushkey"
	anEndpoint  = "an endpoint's path"
	aDeviceKey  = "a key of a device" // p256dh and auth
	aText       = "a text of a notification"
	anEventID   = "an event_id"
	aCredential = "a credential"
	aToken      = "an access or provider token"
)

// shortest is how long a secret has to be: what is shorter is found everywhere by chance. A single word of letters alone, such as
// "default" or "Notification", is no secret either: logs are made of words.
const shortest = 6

// commonplace is what tests have sent as a pushkey or an endpoint and what is in logs all the same, as nobody can be known by it.
var commonplace = []string{"not a URL", "http://", "https://", "/_matrix/push/v1/notify"}

// ledger has what was noted and where the logs are.
type ledger struct {
	mu      sync.Mutex
	secrets map[string]string // to their kinds
	dir     string
	logs    []writtenLog
	trouble error // what kept it from noting or reading
}

// writtenLog is a file with what a process wrote to one of its streams, and whose that was.
type writtenLog struct{ file, who string }

func newLedger() *ledger { return &ledger{secrets: make(map[string]string)} }

// note adds a text as it stands; one of several lines line by line, too.
func (l *ledger) note(kind, text string) {
	if strings.Contains(text, "\n") {
		for line := range strings.Lines(text) {
			l.note(kind, strings.TrimRight(line, "\r\n"))
		}
	}
	if len(text) < shortest || isWord(text) || slices.Contains(commonplace, text) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.secrets[text]; !ok {
		l.secrets[strings.Clone(text)] = kind
	}
}

// isWord says whether a text is letters alone, of which at most the first is a capital: what is in no key and in no token.
func isWord(text string) bool {
	for i, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (i > 0 || c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(text) <= 20
}

// noteOpaque adds a text that means nothing but itself, in every form in which code at hand may print it, and its beginning: half a
// secret is too much as well.
func (l *ledger) noteOpaque(kind, text string) {
	l.note(kind, text)
	if len(text) > 24 && !strings.HasPrefix(text, "{") && !strings.Contains(text[:16], "://") { // of what is nearly a URL, that is a host
		l.note(kind+" (its beginning)", text[:16])
	}
	if len(text) > 512 {
		return
	}
	l.noteBytes(kind, []byte(text))
	if token, ok := unbase64(text); ok {
		l.noteBytes(kind, token)
	}
}

// noteBytes adds bytes as code prints them. Base64's padding is left out, so that it is found with it and without.
func (l *ledger) noteBytes(kind string, b []byte) {
	if len(b) < shortest {
		return
	}
	l.note(kind, hex.EncodeToString(b))
	l.note(kind, strings.ToUpper(hex.EncodeToString(b)))
	l.note(kind, base64.RawStdEncoding.EncodeToString(b))
	l.note(kind, base64.RawURLEncoding.EncodeToString(b))
	l.note(kind, fmt.Sprint(b))
}

// unbase64 is what a text in any of base64's forms stands for, if it is long enough to be a token.
func unbase64(text string) ([]byte, bool) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawStdEncoding.DecodeString(text)
	return b, err == nil && len(b) >= 12
}

// noteURL adds a URL, the path and query of it, and what of them is long and odd enough to be known by. Its host is no secret.
func (l *ledger) noteURL(kind, text string) {
	l.note(kind, text)
	_, rest, _ := strings.Cut(text, "://")
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		return
	}
	for _, form := range []string{rest[i:], unpercent(rest[i:])} {
		l.note(anEndpoint, form)
		for _, part := range strings.FieldsFunc(form, func(c rune) bool { return strings.ContainsRune("/?&=#", c) }) {
			if len(part) >= 16 && strings.ContainsAny(part, "0123456789") {
				l.note(anEndpoint, part)
			}
		}
	}
}

// isURL says whether a text is the URL of more than a host.
func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (strings.EqualFold(u.Scheme, "https") || strings.EqualFold(u.Scheme, "http")) && strings.Trim(u.Path, "/")+u.RawQuery != ""
}

// log opens a file for what a process of a test writes to one of its streams.
func (l *ledger) log(test, stream string) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == "" {
		dir, err := os.MkdirTemp("", "e2e-logs")
		if err != nil {
			return nil, err
		}
		l.dir = dir
	}
	file, err := os.Create(filepath.Join(l.dir, fmt.Sprint(len(l.logs))))
	if err != nil {
		return nil, err
	}
	l.logs = append(l.logs, writtenLog{file.Name(), test + ": " + stream})
	return file, nil
}

// failed notes that something could not be noted or kept: the run then proves nothing.
func (l *ledger) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = errors.Join(l.trouble, err)
}

// kind is what a text was noted as; empty if it was not.
func (l *ledger) kind(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.secrets[text]
}

// written is what the processes of a test have written so far.
func (l *ledger) written(test string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []byte
	for _, log := range l.logs {
		if strings.HasPrefix(log.who, test+": ") {
			content, _ := os.ReadFile(log.file)
			all = append(all, content...)
		}
	}
	return string(all)
}

// kept is a file for one of the streams of a process, which is searched for secrets at the end of the run.
func (p *process) kept(stream string) *os.File {
	p.t.Helper()
	file, err := canaries.log(p.t.Name(), stream+" of the process at port "+strconv.Itoa(p.port))
	if err != nil {
		p.t.Fatal(err)
	}
	return file
}

// command is a command of Caddy's. What it says is kept like a log.
type command struct {
	*exec.Cmd
	process *process
}

// CombinedOutput runs the command.
func (c command) CombinedOutput() ([]byte, error) {
	out, err := c.Cmd.CombinedOutput()
	kept := c.process.kept("the output of " + c.Args[1])
	_, writing := kept.Write(out)
	canaries.failed(errors.Join(writing, kept.Close()))
	return out, err
}
