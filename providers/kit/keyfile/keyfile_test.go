package keyfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// bench is a credential in two files, with the clock and log of its reader.
type bench struct {
	t       *testing.T
	paths   []string
	now     time.Time
	log     *observer.ObservedLogs
	changed []string
	file    *File[string]
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, paths: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, now: time.Now()}
	b.write(0, "one")
	b.write(1, "key")
	core, log := observer.New(zapcore.DebugLevel)
	b.log = log
	file, err := Open(Options[string]{
		Paths: b.paths,
		Parse: func(contents [][]byte) (string, error) {
			if strings.Contains(string(contents[0]), "broken") {
				return "", errors.New("it is broken")
			}
			return string(contents[0]) + "+" + string(contents[1]), nil
		},
		Changed: func(s string) { b.changed = append(b.changed, s) },
		Logger:  zap.New(core),
		Now:     func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.file = file
	return b
}

// write replaces a file as tools do: it renames a new file over it.
func (b *bench) write(i int, content string) {
	b.t.Helper()
	temporary := b.paths[i] + ".new"
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(temporary, b.paths[i]); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) want(value string) {
	b.t.Helper()
	if got := b.file.Get(); got != value {
		b.t.Errorf("got %s, want %s", got, value)
	}
}

func TestAReplacedFileIsReadAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.want("one+key")
	b.write(0, "two")
	b.want("one+key") // too soon for another check
	b.now = b.now.Add(lookEvery)
	b.want("two+key")
	b.write(1, "KEY")
	b.now = b.now.Add(lookEvery)
	b.want("two+KEY")
	if got := strings.Join(b.changed, " "); got != "two+key two+KEY" {
		t.Errorf("changed to %s", got)
	}
}

func TestABadReplacementIsNotTakenOverAndIsSaidOnce(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(*bench){
		"one that cannot be parsed": func(b *bench) { b.write(0, "broken") },
		"none at all":               func(b *bench) { _ = os.Remove(b.paths[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			replace(b)
			for range 3 {
				b.now = b.now.Add(lookEvery)
				b.want("one+key")
			}
			if n := b.log.FilterLevelExact(zapcore.ErrorLevel).Len(); n != 1 || len(b.changed) != 0 {
				t.Errorf("there are %d alarms, and %d changes", n, len(b.changed))
			}
			b.write(0, "mended")
			b.now = b.now.Add(lookEvery)
			b.want("mended+key")
		})
	}
}

func TestAFileThatCannotBeReadIsAnErrorWithItsName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none")
	_, err := Open(Options[int]{Paths: []string{path}, Logger: zap.NewNop()})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestASecretThatOthersCanReadGetsAWarning(t *testing.T) {
	t.Parallel()
	const certificate, key = "-----BEGIN CERTIFICATE-----", "-----BEGIN EC PRIVATE KEY-----"
	tests := []struct {
		name, content string
		mode          os.FileMode
		warnings      int
	}{
		{"a key that only the owner can read", key, 0o600, 0},
		{"a key of the group's", key, 0o640, 1},
		{"a key of everybody's", key, 0o604, 1},
		{"a certificate", certificate, 0o644, 0},
		{"a certificate with its key", certificate + key, 0o644, 1},
		{"what is not PEM", "{}", 0o644, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			core, log := observer.New(zapcore.WarnLevel)
			_, err := Open(Options[int]{Paths: []string{path}, Parse: func([][]byte) (int, error) { return 0, nil }, Logger: zap.New(core)})
			if err != nil || log.Len() != test.warnings {
				t.Errorf("%d warnings, %v", log.Len(), err)
			}
		})
	}
}

func TestALineIsOneWordWithoutTheSpaceAroundIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content, want string
	}{
		{"a word", "token", "token"},
		{"a word with a line's end", "token\n", "token"},
		{"a word with another system's", " token\r\n", "token"},
		{"nothing", "", ""},
		{"white space", " \n", ""},
		{"two words", "secret token", ""},
		{"two lines, of which a header would be made", "secret\r\nX: y", ""},
		{"a control character", "secret\x00", ""},
	}
	for _, test := range tests {
		got, err := Line([][]byte{[]byte(test.content)})
		if got != test.want || (err == nil) != (test.want != "") || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
	}
}

func TestWhatCannotBeReadOrParsedIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options[string]{
		"a file that is not there": {Paths: []string{empty + "-not"}, Parse: Line},
		"an empty file":            {Paths: []string{empty}, Parse: Line},
		"nothing that parses it":   {Paths: []string{empty}},
	} {
		if file, err := Open(o); err == nil || file != nil {
			t.Errorf("%s: got %v, %v", name, file, err)
		}
	}
}

func TestALineOfAnOptionIsReadOrAnErrorNamesTheOption(t *testing.T) {
	t.Setenv("DIR_OF_THIS_TEST", t.TempDir())
	path := filepath.Join(os.Getenv("DIR_OF_THIS_TEST"), "token")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenLine("token_file", "{env.DIR_OF_THIS_TEST}/token", nil)
	if err != nil || f.Get() != "secret" {
		t.Fatalf("got %v, %v", f, err)
	}
	if err := os.WriteFile(path, []byte("two secrets\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for option, want := range map[string]string{
		"":                             "token_file is missing",
		path + "-not":                  "token_file: ",
		path:                           "token_file: the file must contain one word",
		"{env.NOT_SET_IN_THIS_TEST}/a": "token_file: ",
	} {
		if f, err := OpenLine("token_file", option, nil); f != nil || err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", option, err)
		}
	}
}
