package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// reported is how many finds are reported at most.
const reported = 20

// find has the kinds of secrets that one log shows, how many lines show them, and the first such line with its secrets masked.
type find struct {
	log, kinds, line string
	lines            int
}

func (f find) String() string {
	at := strings.Index(f.line, "‹")
	around := strings.ToValidUTF8(f.line[max(0, at-300):min(len(f.line), at+300)], "")
	return fmt.Sprintf("%s shows %s; lines: %d, the first: …%s…", f.log, f.kinds, f.lines, around)
}

// verdict searches the logs for the recorded secrets. It returns the exit code of a run whose tests end with code.
func (l *ledger) verdict(code int, out io.Writer) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	started := time.Now()
	noted := len(l.secrets)
	l.standing()
	finds, read, err := l.search()
	trouble := errors.Join(l.trouble, err, os.RemoveAll(l.dir))
	if len(l.logs) > 0 && (noted == 0 || read == 0) {
		trouble = errors.Join(trouble, fmt.Errorf("%d secrets were recorded, and %d bytes logged", noted, read))
	}
	if testing.Verbose() && len(l.logs) > 0 {
		fmt.Fprintf(out, "%d bytes in %d logs were searched for %d secrets in %s\n", read, len(l.logs), noted, time.Since(started).Round(time.Millisecond))
	}
	for i, f := range finds {
		if i == reported {
			fmt.Fprintf(out, "… and %d more\n", len(finds)-i)
			break
		}
		fmt.Fprintf(out, "--- FAIL: a secret is logged: %s\n", f)
	}
	if trouble != nil {
		fmt.Fprintf(out, "--- FAIL: it is unknown whether a secret is logged: %v\n", trouble)
	}
	if len(finds) > 0 || trouble != nil {
		return max(code, 1)
	}
	return code
}

// search looks for the secrets in all logs, and returns the size of the logs in bytes. The lock must be held.
func (l *ledger) search() (finds []find, read int, err error) {
	x := newIndex(l.secrets)
	for _, log := range l.logs {
		content, reading := os.ReadFile(log.file)
		err = errors.Join(err, reading)
		read += len(content)
		first := len(finds)
		for _, f := range x.log(content) {
			i := slices.IndexFunc(finds[first:], func(before find) bool { return before.kinds == f.kinds })
			if i >= 0 {
				finds[first+i].lines++
				continue
			}
			f.log = log.who
			finds = append(finds, f)
		}
	}
	return finds, read, err
}
