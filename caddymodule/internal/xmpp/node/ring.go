package node

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Why a node cannot be used. Only ErrRetired means that it never can be used again. None of them contains anything of the node.
var (
	// ErrNotSealed: the node was not made by this package, so it may be a token of a push service.
	ErrNotSealed = errors.New("the node is not sealed")
	// ErrRetired: the node's key was removed, after the client had one rotation's time to get a new node.
	ErrRetired = errors.New("the node's key is retired")
	// ErrUnknownKey: the node's key is not on record.
	ErrUnknownKey = errors.New("the node's key is unknown")
	// ErrInvalid: the node was changed, or belongs to another domain.
	ErrInvalid = errors.New("the node is invalid, or belongs to another domain")
	// ErrSecret: the secret is missing, or belongs to another node.
	ErrSecret = errors.New("the node's secret is wrong")
)

const (
	// freshFor is how long the keys in memory are used before they are read again: another gateway may have rotated them.
	freshFor = time.Minute
	// askEvery limits how often an unknown key id makes the ring read the keys again, since strangers can send any.
	askEvery = time.Second
	// askWait limits how long an unknown key id waits for a reading that has begun.
	askWait = 100 * time.Millisecond
	// loadTime limits one reading of the storage, and rotateTime one rotation.
	loadTime   = 5 * time.Second
	rotateTime = 30 * time.Second
)

// Ring has the keys that seal and open nodes. It is safe for concurrent use.
type Ring struct {
	storage Storage
	path    string
	now     func() time.Time

	keys atomic.Pointer[keys]
	// loading is held while the keys are read from the storage.
	loading *semaphore.Weighted
	loaded  time.Time // when they were last read, or could not be read; guarded by loading
}

// Seal returns the node of a registration for servers of that domain, and the node's secret if it has one.
func (r *Ring) Seal(ctx context.Context, registration Registration, domain string) (node, secret string, err error) {
	encoded, err := registration.encode()
	if err != nil {
		return "", "", err
	}
	r.refresh(ctx, freshFor)
	newest := r.keys.Load().open[0]
	node = newest.seal(encoded, strings.ToLower(domain))
	if registration.Secret {
		secret = newest.secret(node)
	}
	return node, secret, nil
}

// Open returns the registration in a node that a server of that domain sent with that secret. Its errors are those above.
func (r *Ring) Open(ctx context.Context, node, secret, domain string) (Registration, error) {
	id, sealed, err := split(node)
	if err != nil {
		return Registration{}, err
	}
	r.refresh(ctx, freshFor)
	keys := r.keys.Load()
	if !keys.known(id) {
		r.refresh(ctx, askEvery)
		keys = r.keys.Load()
	}
	key := keys.find(id)
	switch {
	case key != nil:
	case keys.known(id):
		return Registration{}, ErrRetired
	default:
		return Registration{}, ErrUnknownKey
	}
	encoded, err := key.open(sealed, strings.ToLower(domain))
	if err != nil {
		return Registration{}, ErrInvalid
	}
	registration, err := decode(encoded)
	if err != nil {
		return Registration{}, ErrInvalid
	}
	if registration.Secret && subtle.ConstantTimeCompare([]byte(secret), []byte(key.secret(node))) == 0 {
		return Registration{}, ErrSecret
	}
	return registration, nil
}

// refresh reads the keys from the storage if they were last read that long ago. If the storage does not work, the keys in memory are still
// good. A caller with an unknown key id waits for another caller's reading, but not long: strangers can send any, and the storage may be
// slow. Others do not wait.
func (r *Ring) refresh(ctx context.Context, age time.Duration) {
	if !r.loading.TryAcquire(1) {
		if age >= freshFor {
			return
		}
		short, cancel := context.WithTimeout(ctx, askWait)
		defer cancel()
		if r.loading.Acquire(short, 1) != nil {
			return
		}
	}
	defer r.loading.Release(1)
	if r.now().Sub(r.loaded).Abs() < age { // a clock that was set back must not keep old keys
		return
	}
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	if keys, err := load(ctx, r.storage, r.path); err == nil {
		r.keys.Store(keys)
	}
	r.loaded = r.now()
}
