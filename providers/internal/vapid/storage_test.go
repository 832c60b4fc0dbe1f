package vapid

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/certmagic"
)

func TestAKeyIsMadeOnceAndThenTheSameForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := FromStorage(t.Context(), &certmagic.FileStorage{Path: dir}, "default")
	if err != nil {
		t.Fatal(err)
	}
	second, err := FromStorage(t.Context(), &certmagic.FileStorage{Path: dir}, "default")
	if err != nil {
		t.Fatal(err)
	}
	if first.PublicKey() != second.PublicKey() {
		t.Error("the key is another the second time")
	}
	info, err := os.Stat(filepath.Join(dir, "matrix_push", "vapid", "default.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the key: %s", info.Mode())
	}
}

func TestEachNameHasItsOwnKey(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	if must(FromStorage(t.Context(), storage, "a")).PublicKey() == must(FromStorage(t.Context(), storage, "b")).PublicKey() {
		t.Error("two names have one key")
	}
}

func TestAllWhoAskAtTheSameTimeGetTheSameKey(t *testing.T) {
	t.Parallel()
	storage := &memory{files: map[string][]byte{}, absent: make(chan struct{})}
	keys := make([]*Key, 20)
	storage.together.Add(len(keys))
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() { keys[i] = must(FromStorage(t.Context(), storage, "default")) })
	}
	// No caller continues before all have seen that there is no key.
	storage.together.Wait()
	close(storage.absent)
	group.Wait()
	for _, key := range keys {
		if key.PublicKey() != keys[0].PublicKey() {
			t.Fatal("there is more than one key")
		}
	}
	if storage.stores != 1 {
		t.Errorf("a key was stored %d times", storage.stores)
	}
}

func TestAStoredKeyThatCannotBeReadIsNotReplaced(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	const path, broken = "matrix_push/vapid/default.pem", "broken"
	if err := storage.Store(t.Context(), path, []byte(broken)); err != nil {
		t.Fatal(err)
	}
	if _, err := FromStorage(t.Context(), storage, "default"); !errors.Is(err, errUnknown) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if data := must(storage.Load(t.Context(), path)); string(data) != broken {
		t.Error("the file was replaced")
	}
}

func TestAFailingStorageMakesNoKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		storage *memory
	}{
		{"loading fails", &memory{loadErr: errors.New("no route to the storage")}},
		{"locking fails", &memory{lockErr: errors.New("somebody else's lock")}},
		{"storing fails", &memory{storeErr: errors.New("the disk is full")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := FromStorage(t.Context(), test.storage, "default")
			if key != nil || err == nil {
				t.Errorf("got %v, %v", key, err)
			}
			if test.storage.locked {
				t.Error("the lock was kept")
			}
		})
	}
}

func TestACheckFindsWhyNoKeyCouldBeMadeAndMakesNone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := &certmagic.FileStorage{Path: t.TempDir()}
	if err := broken.Store(t.Context(), pathOf("default"), []byte("broken")); err != nil {
		t.Fatal(err)
	}
	stored := &certmagic.FileStorage{Path: t.TempDir()}
	must(FromStorage(t.Context(), stored, "default"))
	fresh := &certmagic.FileStorage{Path: t.TempDir()}
	for _, tt := range []struct {
		name    string
		storage certmagic.Storage
		want    string // empty for no error
	}{
		{"an empty storage", fresh, ""},
		{"a storage with a key", stored, ""},
		{"a storage with a broken key", broken, "the stored VAPID key matrix_push/vapid/default.pem: the key is neither PEM nor"},
		{"a storage below a file", &certmagic.FileStorage{Path: file}, "not a directory"},
		{"a storage that is not on this machine", &memory{loadErr: errors.New("asked")}, ""},
	} {
		if err := CheckStorage(t.Context(), tt.storage, "default"); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if left, err := os.ReadDir(fresh.Path); err != nil || len(left) > 0 {
		t.Errorf("left are %v: %v", left, err)
	}
}

func TestANameCannotLeaveItsFolder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "../caddy", "a/b", `a\b`, ".hidden", "a b", "*"} {
		if _, err := FromStorage(t.Context(), &memory{}, name); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}

// memory is a storage that fails and waits on request.
type memory struct {
	certmagic.Storage
	loadErr, lockErr, storeErr error

	together sync.WaitGroup
	absent   chan struct{}

	lock   sync.Mutex
	locked bool

	mu     sync.Mutex
	files  map[string][]byte
	stores int
}

func (m *memory) Load(_ context.Context, path string) ([]byte, error) {
	if m.loadErr != nil {
		return nil, m.loadErr
	}
	m.mu.Lock()
	data, ok := m.files[path]
	m.mu.Unlock()
	if ok {
		return data, nil
	}
	if m.absent != nil {
		select {
		case <-m.absent:
		default:
			m.together.Done()
			<-m.absent
		}
	}
	return nil, os.ErrNotExist
}

func (m *memory) Store(_ context.Context, path string, data []byte) error {
	if m.storeErr != nil {
		return m.storeErr
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = data
	m.stores++
	return nil
}

func (m *memory) Lock(context.Context, string) error {
	if m.lockErr != nil {
		return m.lockErr
	}
	m.lock.Lock()
	m.locked = true
	return nil
}

func (m *memory) Unlock(context.Context, string) error {
	m.locked = false
	m.lock.Unlock()
	return nil
}
