// Package keyfile is for providers with a credential in a file. It reads the file again when the file is replaced. Caddy ignores a
// reload of an unchanged configuration, and a renewed token or certificate must not need a restart.
//
// A provider opens its files in Provision, with [OpenLine] or [Open], and calls [File.Get] for each push. There is nothing to close,
// and no goroutine.
//
// As long as the gateway's version is v0, the API may change between minor versions. The changelog describes each change.
package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/internal/optionfile"
)

// lookEvery limits how often Get checks whether the files were replaced.
const lookEvery = 5 * time.Second

// Options name the files and how to parse them.
type Options[T any] struct {
	// Paths are the files that together contain one credential.
	Paths []string
	// Parse makes the credential from the contents of the files. Its errors must not contain them.
	Parse func(contents [][]byte) (T, error)
	// Changed is called with each new credential; nil for no call.
	Changed func(T)
	// Logger gets a message if others can read a file, and if a file was replaced, with or without success; nil for no logging.
	Logger *zap.Logger
	// Now is the clock; nil for the real one.
	Now func() time.Time
}

// File is a credential in one or more files. It is safe for concurrent use.
type File[T any] struct {
	options Options[T]
	current atomic.Pointer[T]
	looked  atomic.Int64 // when the files were last checked, in nanoseconds

	mu     sync.Mutex
	stamps []stamp
}

// stamp identifies the state of a file. The zero value stands for a file that os.Stat cannot read.
type stamp struct {
	info os.FileInfo
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) same(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == other.info
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() && s.info.ModTime().Equal(other.info.ModTime())
}

// Open reads the files for the first time. An error names the file. A file that others can read gets a warning.
func Open[T any](o Options[T]) (*File[T], error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	f := &File[T]{options: o}
	f.looked.Store(o.Now().UnixNano())
	f.stamps = f.look()
	contents, err := f.read()
	if err != nil {
		return nil, err
	}
	if o.Parse == nil {
		return nil, errors.New("the credential has no parser: set Options.Parse")
	}
	value, err := o.Parse(contents)
	if err != nil {
		return nil, err
	}
	f.current.Store(&value)
	f.warn(contents)
	return f, nil
}

// warn logs a warning for each secret that others can read. A certificate without a private key is not secret.
func (f *File[T]) warn(contents [][]byte) {
	for i, path := range f.options.Paths {
		public := bytes.Contains(contents[i], []byte("-----BEGIN")) && !bytes.Contains(contents[i], []byte("PRIVATE KEY-----"))
		if s := f.stamps[i]; !public && s.info != nil && s.info.Mode().Perm()&0o077 != 0 {
			f.options.Logger.Warn("credential file is readable by other users", zap.String("file", path), zap.Stringer("mode", s.info.Mode().Perm()))
		}
	}
}

// Get returns the current credential. At most every 5 s, it checks whether the files were replaced.
func (f *File[T]) Get() T {
	now := f.options.Now().UnixNano()
	if last := f.looked.Load(); now-last >= int64(lookEvery) && f.looked.CompareAndSwap(last, now) {
		f.Reread()
	}
	return *f.current.Load()
}

// Reread reads the files if they were replaced. If the new ones cannot be used, that is logged once, and the old credential stays in
// use.
func (f *File[T]) Reread() {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamps := f.look()
	if slices.EqualFunc(stamps, f.stamps, stamp.same) {
		return
	}
	f.stamps = stamps
	contents, err := f.read()
	var value T
	if err == nil {
		value, err = f.options.Parse(contents)
	}
	if err != nil {
		f.options.Logger.Error("new credential cannot be used; the old one stays in use",
			zap.Strings("files", f.options.Paths), zap.Error(err))
		return
	}
	f.current.Store(&value)
	f.options.Logger.Info("credential file changed; the new credential is in use", zap.Strings("files", f.options.Paths))
	if f.options.Changed != nil {
		f.options.Changed(value)
	}
}

func (f *File[T]) look() []stamp {
	stamps := make([]stamp, len(f.options.Paths))
	for i, path := range f.options.Paths {
		stamps[i] = stampOf(path)
	}
	return stamps
}

func (f *File[T]) read() (contents [][]byte, err error) {
	contents = make([][]byte, len(f.options.Paths))
	for i, path := range f.options.Paths {
		if contents[i], err = optionfile.Read(path); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// Line parses a credential that is one word in one file, such as a token, and removes the white space around it. A file that is empty,
// or contains several words or a control character, is an error. Use it as [Options.Parse].
func Line(contents [][]byte) (string, error) {
	word := string(bytes.TrimSpace(bytes.Join(contents, nil)))
	if word == "" || strings.ContainsFunc(word, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", errors.New("the file must contain one word on one line")
	}
	return word, nil
}

// OpenLine opens the file that an option names. The file contains one word, as [Line] reads it. Placeholders in the path are replaced.
// An error names the option.
func OpenLine(option, path string, logger *zap.Logger) (*File[string], error) {
	path, err := Resolve(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", option, err)
	case path == "":
		return nil, fmt.Errorf("%s is missing", option)
	}
	f, err := Open(Options[string]{Paths: []string{path}, Parse: Line, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return f, nil
}

// Resolve replaces the placeholders in an option, such as {env.SECRETS}. A placeholder that is unknown or empty is an error.
func Resolve(option string) (string, error) {
	if option == "" {
		return "", nil
	}
	return caddy.NewReplacer().ReplaceOrErr(option, true, true)
}
