package pooled

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// bench is a pool, and a file that its followers read.
type bench struct {
	t    *testing.T
	pool Pool[*string]
	path string
	now  time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, pool: NewPool[*string](), path: filepath.Join(t.TempDir(), "key"), now: time.Now()}
	b.write("one")
	return b
}

func (b *bench) write(credential string) {
	b.t.Helper()
	if err := os.WriteFile(b.path, []byte(credential), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) take(credential string) (*Share[*string], error) {
	return b.pool.Take(credential, func() (*string, error) {
		if credential == "cursed" {
			return nil, errors.New("nothing belongs to it")
		}
		return &credential, nil
	})
}

func (b *bench) follow() *Follower[string, *string] {
	b.t.Helper()
	f, err := Follow(keyfile.Options[string]{Paths: []string{b.path}, Parse: keyfile.Line, Now: func() time.Time { return b.now }}, b.take)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// want fails the test unless each of these has that many shares.
func (b *bench) want(shares map[string]int) {
	b.t.Helper()
	for name, want := range shares {
		if n, _ := b.pool.References(name); n != want {
			b.t.Errorf("%d share %q, want %d", n, name, want)
		}
	}
}

func (b *bench) close(f *Follower[string, *string]) {
	b.t.Helper()
	if err := f.Close(); err != nil {
		b.t.Error(err)
	}
}

func TestAllOfOneCredentialShareWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, second := b.follow(), b.follow()
	if first.Current() != second.Current() {
		t.Error("each has its own")
	}
	b.want(map[string]int{"one": 2})
	b.close(first)
	b.want(map[string]int{"one": 1})
	if first.Current() != second.Current() {
		t.Error("a push still in progress has lost it")
	}
	b.close(second)
	b.want(map[string]int{"one": 0})
}

func TestAReplacedFileChangesWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.follow()
	b.write("another")
	b.now = b.now.Add(10 * time.Second) // by then, the file is checked again
	if got := *f.Current(); got != "another" {
		t.Errorf("got %q", got)
	}
	b.want(map[string]int{"one": 0, "another": 1})
	b.write("cursed")
	f.Reread()
	if got := *f.Current(); got != "another" {
		t.Errorf("of one that nothing belongs to: got %q", got)
	}
	b.want(map[string]int{"cursed": 0, "another": 1})
	b.close(f)
	b.want(map[string]int{"another": 0})
}

func TestAFileThatIsReplacedAfterTheEndLeavesNoShare(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.follow()
	b.close(f)
	b.write("another")
	f.Reread()
	if got := *f.Current(); got != "another" {
		t.Errorf("got %q", got)
	}
	b.want(map[string]int{"one": 0, "another": 0})
}

func TestWhatCannotBeFollowedIsAnErrorAndSharesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, credential := range []string{"cursed", "two words"} {
		b.write(credential)
		if f, err := Follow(keyfile.Options[string]{Paths: []string{b.path}, Parse: keyfile.Line}, b.take); err == nil || f != nil {
			t.Errorf("%q: got %v, %v", credential, f, err)
		}
		b.want(map[string]int{credential: 0})
	}
	if err := (*Share[string])(nil).Release(); err != nil {
		t.Error(err)
	}
}

func TestTheFileMayBeReplacedWhileItIsUsed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.follow()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				_ = *f.Current()
			}
		})
	}
	for _, credential := range []string{"two", "the third", "and-four"} {
		b.write(credential)
		f.Reread()
	}
	group.Wait()
	b.close(f)
	b.want(map[string]int{"one": 0, "two": 0, "and-four": 0})
}
