package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"golang.org/x/sync/semaphore"
)

// Storage is the part of certmagic.Storage that a ring needs. Load returns an error that is fs.ErrNotExist if there is no such value.
type Storage interface {
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
	Load(ctx context.Context, path string) ([]byte, error)
	Store(ctx context.Context, path string, value []byte) error
}

// kept is how many keys open nodes.
const kept = 2

// validName keeps a name inside its folder in any storage.
var validName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

var errFile = errors.New("it has no key, or a key or an id that is not valid")

// Key describes a key to the operator.
type Key struct {
	// ID is the key's public name.
	ID string `json:"id"`
	// Made is when the key was made.
	Made time.Time `json:"made"`
	// Retired is when the key was removed; zero while it opens nodes.
	Retired time.Time `json:"retired,omitzero"`
}

// file is a ring in the storage. The newest key is the first of each list.
type file struct {
	Keys []storedKey `json:"keys"`
	// Retired are the keys that were removed. Only their names are left.
	Retired []Key `json:"retired,omitempty"`
}

type storedKey struct {
	Key
	Secret []byte `json:"key"`
}

// keys is a file that was read and checked. It never changes.
type keys struct {
	file file
	open []*key
	ids  map[id]bool // of all keys on record, retired or not
}

func (k *keys) find(id id) *key {
	for _, key := range k.open {
		if key.id == id {
			return key
		}
	}
	return nil
}

// known reports whether a key is on record, retired or not.
func (k *keys) known(id id) bool { return k.ids[id] }

// Open returns the ring of that name, and makes it if there is none. All who share the storage get the same ring, even at the same time. A
// stored ring that cannot be read is an error, and is not replaced: that would lose every registration.
func Open(ctx context.Context, storage Storage, name string) (*Ring, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("the name %q of the keys has characters other than letters, digits, '.', '_' and '-'", name)
	}
	r := &Ring{storage: storage, path: "matrix_push/xmpp/" + name + ".json", now: time.Now, loading: semaphore.NewWeighted(1)}
	found, err := load(ctx, storage, r.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = r.locked(ctx, func() (err error) {
			// Another gateway may have made it since the first look.
			if found, err = load(ctx, storage, r.path); errors.Is(err, fs.ErrNotExist) {
				found, err = r.add(ctx, file{})
			}
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	r.keys.Store(found)
	r.loaded = r.now()
	return r, nil
}

// Rotate makes a new key, which makes all nodes from now on. Of the older keys, only the newest still opens nodes, and the others are
// retired for ever. It returns all keys.
func (r *Ring) Rotate(ctx context.Context) ([]Key, error) {
	ctx, cancel := context.WithTimeout(ctx, rotateTime)
	defer cancel()
	if err := r.loading.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("waiting for the storage, which is slow: %w", err)
	}
	defer r.loading.Release(1)
	err := r.locked(ctx, func() error {
		current, err := load(ctx, r.storage, r.path)
		if errors.Is(err, fs.ErrNotExist) {
			current, err = r.keys.Load(), nil // the storage was lost, but its keys were not
		}
		if err != nil {
			return err
		}
		rotated, err := r.add(ctx, current.file)
		if err == nil {
			r.keys.Store(rotated)
			r.loaded = r.now()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.Keys(), nil
}

// Keys returns the keys, the newest first, and then the retired ones.
func (r *Ring) Keys() (all []Key) {
	f := r.keys.Load().file
	for _, k := range f.Keys {
		all = append(all, k.Key)
	}
	return append(all, f.Retired...)
}

// add returns the keys with a new one, and stores them. It needs the storage's lock.
func (r *Ring) add(ctx context.Context, old file) (*keys, error) {
	now := r.now().UTC().Truncate(time.Second)
	f := file{
		Keys:    []storedKey{{Key{ID: hex.EncodeToString(random(idSize)), Made: now}, random(keySize)}},
		Retired: old.Retired,
	}
	for _, k := range old.Keys {
		if len(f.Keys) < kept {
			f.Keys = append(f.Keys, k)
			continue
		}
		k.Retired = now
		f.Retired = append([]Key{k.Key}, f.Retired...)
	}
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", r.path, err)
	}
	made, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.path, err)
	}
	if err := r.storage.Store(ctx, r.path, data); err != nil {
		return nil, fmt.Errorf("storing %s: %w", r.path, err)
	}
	return made, nil
}

// locked calls a function with the storage's lock.
func (r *Ring) locked(ctx context.Context, f func() error) error {
	if err := r.storage.Lock(ctx, r.path); err != nil {
		return fmt.Errorf("locking %s: %w", r.path, err)
	}
	err := f()
	// The lock is released even if the caller's context has ended.
	if unlock := r.storage.Unlock(context.WithoutCancel(ctx), r.path); unlock != nil && err == nil {
		return fmt.Errorf("unlocking %s: %w", r.path, unlock)
	}
	return err
}

func load(ctx context.Context, storage Storage, path string) (*keys, error) {
	data, err := storage.Load(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	found, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return found, nil
}

// parse reads a file. Its errors contain nothing of the file.
func parse(data []byte) (*keys, error) {
	k := &keys{ids: make(map[id]bool)}
	if json.Unmarshal(data, &k.file) != nil || len(k.file.Keys) == 0 {
		return nil, errFile
	}
	for _, stored := range k.file.Keys {
		name, err := k.record(stored.Key)
		if err != nil {
			return nil, err
		}
		key, err := newKey(name, stored.Secret)
		if err != nil {
			return nil, errFile
		}
		k.open = append(k.open, key)
	}
	for _, retired := range k.file.Retired {
		if _, err := k.record(retired); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// record adds a key's id, which must be the only one like it.
func (k *keys) record(stored Key) (name id, err error) {
	b, err := hex.DecodeString(stored.ID)
	if err != nil || len(b) != idSize || k.ids[[idSize]byte(b)] {
		return name, errFile
	}
	name = [idSize]byte(b)
	k.ids[name] = true
	return name, nil
}
