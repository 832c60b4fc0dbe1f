package boltfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checked returns the result of a check and its log. It fails the test if the check changed the directory or a file in it.
func checked(t *testing.T, dir, path string) (log string, err error) {
	t.Helper()
	before := contents(t, dir)
	var lines bytes.Buffer
	err = Check(path, slog.New(slog.NewTextHandler(&lines, nil)))
	if after := contents(t, dir); after != before {
		t.Errorf("the check changed %q to %q", before[:min(100, len(before))], after[:min(100, len(after))])
	}
	return lines.String(), err
}

// contents returns the names of a directory's files, and what is in them.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all.WriteString(e.Name() + "\n")
		if content, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
			all.Write(content)
		}
	}
	return all.String()
}

func TestACheckFindsWhatOpeningWouldFind(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 100_000)
	_, _ = rand.Read(noise)
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	db, _ := opened(t, whole)
	put1000(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string // below the test's directory
		content    []byte // nil for no file
		want       string // empty for no error
	}{
		{"a file that does not exist", "x.db", nil, ""},
		{"a file in directories that do not exist", "a/b/x.db", nil, ""},
		{"an empty file", "x.db", []byte{}, ""},
		{"a database", "x.db", content, ""},
		{"5000 bytes of noise", "x.db", noise[:5000], "x.db is damaged or not a database; move it away"},
		{"more noise", "x.db", noise, "x.db is damaged or not a database; move it away"},
		{"a database that is cut off", "x.db", content[:2*os.Getpagesize()], "x.db is damaged or not a database; move it away"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, tt.path)
			if tt.content != nil {
				if err := os.WriteFile(path, tt.content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := checked(t, dir, path)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			db, _, err := Open(path, slog.New(slog.DiscardHandler))
			if (err == nil) != (tt.want == "") {
				t.Errorf("opening it: %v", err)
			}
			if err == nil {
				_ = db.Close()
			}
		})
	}
}

func TestACheckDoesNotWaitForWhoHasTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	opened(t, path)
	if _, err := checked(t, dir, path); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
}

func TestACheckWarnsOfAFileThatOthersCanUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	if log, err := checked(t, dir, path); err != nil || strings.Count(log, "level=WARN") != 1 {
		t.Errorf("got %v, logged %s", err, log)
	}
}
