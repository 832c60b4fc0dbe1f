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

// No secret may be in a log, or in anything else that the gateway shows. Every test checks this without extra code. The rig records the
// secrets that the run sends and gets (rig_canaries_sent_test.go, rig_canaries_credentials_test.go), and keeps what its processes write.
// When all have ended, it looks for the secrets in that output (rig_canaries_search_test.go). A secret that it finds fails the run.

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

// shortest is the length of the shortest secrets: shorter texts are found everywhere by chance. A single word of letters, such as "default"
// or "Notification", is not a secret either, because logs have such words.
const shortest = 6

// commonplace has texts that tests send as a pushkey or an endpoint, but that may be in logs, because they identify nobody.
var commonplace = []string{"not a URL", "http://", "https://", "/_matrix/push/v1/notify"}

// ledger has the recorded secrets and the paths of the logs.
type ledger struct {
	mu      sync.Mutex
	secrets map[string]string // with their kinds
	dir     string
	logs    []writtenLog
	trouble error // the errors of recording and reading
}

// writtenLog is a file with a process's output to one of its streams, and the test that ran the process.
type writtenLog struct{ file, who string }

func newLedger() *ledger { return &ledger{secrets: make(map[string]string)} }

// note adds a text. If it has several lines, note also adds each line.
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

// isWord reports whether a text has only letters, of which at most the first is a capital. Keys and tokens are never like that.
func isWord(text string) bool {
	for i, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (i > 0 || c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(text) <= 20
}

// noteOpaque adds an opaque text in every form in which code may print it. It also adds its beginning, because a log must not have half a
// secret either.
func (l *ledger) noteOpaque(kind, text string) {
	l.note(kind, text)
	if len(text) > 24 && !strings.HasPrefix(text, "{") && !strings.Contains(text[:16], "://") { // the beginning of a text like a URL would be a host
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

// noteBytes adds bytes in the forms in which code prints them. Base64 is added without padding, so it is found with and without padding.
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

// unbase64 returns the decoded bytes of a text in any form of base64, if it is long enough to be a token.
func unbase64(text string) ([]byte, bool) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawStdEncoding.DecodeString(text)
	return b, err == nil && len(b) >= 12
}

// noteURL adds a URL, its path and query, and those parts of them that are long and random enough to be secrets. Its host is not a secret.
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

// isURL reports whether a text is a URL with more than a host.
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

// failed records that something could not be recorded or kept. The run then proves nothing.
func (l *ledger) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = errors.Join(l.trouble, err)
}

// kind returns the kind of a recorded text, or "" if it was not recorded.
func (l *ledger) kind(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.secrets[text]
}

// written returns what the processes of a test have written so far.
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

// command is a command of Caddy. Its output is kept like a log.
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
