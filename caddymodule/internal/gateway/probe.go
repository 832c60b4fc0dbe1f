package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// A probe shows that a homeserver reaches this gateway. `caddy matrix-push doctor --probe` has the user's homeserver register a pusher
// whose pushkey is a nonce of the gateway. When a notification for it arrives, the gateway remembers where it came from.
//
// A nonce is signed, and nothing about it is stored when it is made. So all gateways that share the key accept it, and a stranger who makes
// up nonces costs one HMAC each. A device with a valid nonce belongs to no app, and is counted nowhere: no push service, store, fuse,
// journal or metric of apps has to do with it. One with any other pushkey is a device of an unknown app.

// ProbeAppID is the app_id of probes. In a device's data, it is the member that marks the requests of doctor itself.
const ProbeAppID = "org.matrix-push.doctor"

const (
	// ProbeTime is how long a nonce is valid, and what was seen of it is remembered. Afterwards, the gateway rejects it, so a homeserver
	// drops a pusher that was left behind.
	ProbeTime = 10 * time.Minute
	// maxProbes bounds the nonces of which something is remembered. Only the admin API makes nonces.
	maxProbes = 128
	// keyPatience is how long a new nonce waits for the key.
	keyPatience = 5 * time.Second
)

// Sighting is the first request for a probe.
type Sighting struct {
	At time.Time `json:"at"`
	// From is the client's address, and Site the site where the request arrived, as configured.
	From string `json:"from"`
	Site string `json:"site"`
	// TLS is the version; empty if the request arrived without TLS, because a proxy in front of the gateway has the certificate.
	TLS       string `json:"tls,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

// Sightings are what a gateway has seen of a probe: the first request of doctor itself, and the first one of a homeserver.
type Sightings struct {
	Doctor     *Sighting `json:"doctor,omitempty"`
	Homeserver *Sighting `json:"homeserver,omitempty"`
}

// Probe is a new nonce.
type Probe struct {
	AppID   string    `json:"app_id"`
	Pushkey string    `json:"pushkey"`
	Expires time.Time `json:"expires"`
}

// A nonce is the base64url of its head (a version, the time when it was made, and random bytes) and the head's HMAC-SHA256.
const (
	nonceVersion = 1
	headLength   = 1 + 8 + 16
	nonceLength  = headLength + sha256.Size
)

type nonceHead [headLength]byte

// made returns when the nonce was made.
func (h *nonceHead) made() time.Time { return time.Unix(int64(binary.BigEndian.Uint64(h[1:])), 0) }

// Probes makes and recognises nonces, and remembers for a while which arrived. It is safe for concurrent use.
type Probes struct {
	mu sync.Mutex
	// key signs. It is nil until it was loaded, and err is why that failed.
	key []byte
	err error
	// keyed is closed when there is a key.
	keyed chan struct{}
	seen  *simplelru.LRU[nonceHead, Sightings]
	// timer runs when the first nonce that is remembered expires; nil if none is. After close, there is no timer.
	timer  *time.Timer
	closed bool
}

func newProbes() *Probes {
	seen, err := simplelru.NewLRU[nonceHead, Sightings](maxProbes, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &Probes{seen: seen, keyed: make(chan struct{})}
}

// SetKey sets the key. All gateways of a group need the same.
func (p *Probes) SetKey(key []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key == nil {
		close(p.keyed)
	}
	p.key, p.err = key, nil
}

// KeyFailed notes why there is no key. An earlier key stays in use.
func (p *Probes) KeyFailed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// Make makes a nonce. A gateway that has just started may not have loaded the key yet, so Make waits for it for a while.
func (p *Probes) Make(ctx context.Context, now time.Time) (Probe, error) {
	ctx, cancel := context.WithTimeout(ctx, keyPatience)
	defer cancel()
	select {
	case <-p.keyed:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.key == nil && p.err != nil:
		return Probe{}, fmt.Errorf("the key for probes cannot be loaded from Caddy's storage: %w", p.err)
	case p.key == nil:
		return Probe{}, errors.New("the key for probes is not loaded yet, because Caddy's storage does not answer: try again later")
	}
	var head nonceHead
	head[0] = nonceVersion
	binary.BigEndian.PutUint64(head[1:], uint64(now.Unix()))
	_, _ = rand.Read(head[9:]) // never fails, see its documentation
	nonce := append(head[:len(head):len(head)], sign(head, p.key)...)
	return Probe{AppID: ProbeAppID, Pushkey: base64.RawURLEncoding.EncodeToString(nonce), Expires: head.made().Add(ProbeTime)}, nil
}

// sign returns the head's signature with a key.
func sign(head nonceHead, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(head[:])
	return mac.Sum(nil)
}

// verify returns a nonce's head. It is not ok if no gateway with this key made it.
func (p *Probes) verify(pushkey string) (head nonceHead, ok bool) {
	p.mu.Lock()
	key := p.key
	p.mu.Unlock()
	var raw [nonceLength]byte
	if len(pushkey) != base64.RawURLEncoding.EncodedLen(nonceLength) || key == nil {
		return head, false
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(pushkey)); err != nil || raw[0] != nonceVersion {
		return head, false
	}
	copy(head[:], raw[:])
	return head, hmac.Equal(raw[headLength:], sign(head, key))
}

// Seen returns what was seen of a nonce, until it expires. It is not ok if no gateway with this key made it.
func (p *Probes) Seen(pushkey string, now time.Time) (seen Sightings, ok bool) {
	head, ok := p.verify(pushkey)
	if !ok {
		return seen, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(now)
	seen, _ = p.seen.Peek(head)
	return seen, true
}

// note remembers the first request of doctor, and the first one of a homeserver. It returns what was seen of the nonce until now, and
// whether this request is such a first one.
func (p *Probes) note(head nonceHead, by *Sighting, isDoctor bool) (seen Sightings, isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(by.At)
	seen, _ = p.seen.Get(head)
	first := &seen.Homeserver
	if isDoctor {
		first = &seen.Doctor
	}
	if *first != nil {
		return seen, false
	}
	*first = by
	p.seen.Add(head, seen)
	p.forget(by.At) // starts the timer
	return seen, true
}

// expires returns when a nonce of which something was seen is forgotten. If the clock of the gateway that made it is ahead, that is
// [ProbeTime] after the first request.
func expires(head nonceHead, seen Sightings) time.Time {
	first := head.made()
	for _, s := range []*Sighting{seen.Doctor, seen.Homeserver} {
		if s != nil && s.At.Before(first) {
			first = s.At
		}
	}
	return first.Add(ProbeTime)
}

// forget forgets the nonces that have expired, and has the timer run when the next one expires. It needs the lock.
func (p *Probes) forget(now time.Time) {
	var next time.Time
	for _, head := range p.seen.Keys() {
		seen, _ := p.seen.Peek(head)
		switch end := expires(head, seen); {
		case !now.Before(end):
			p.seen.Remove(head)
		case next.IsZero(), end.Before(next):
			next = end
		}
	}
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if !next.IsZero() && !p.closed {
		p.timer = time.AfterFunc(next.Sub(now), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.forget(time.Now())
		})
	}
}

// close ends the timer.
func (p *Probes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed = true; p.timer != nil {
		p.timer.Stop()
	}
}

// HasProbe reports whether a device may be a probe. Then the request needs Arrived.
func (r *Request) HasProbe() bool {
	for i := range r.Devices {
		if r.Devices[i].AppID == ProbeAppID {
			return true
		}
	}
	return false
}

// recognise decides about a device that is a probe, and reports whether it is one.
func (g *Gateway) recognise(d *delivery, r *Request) bool {
	if r.Arrived == nil || d.device.AppID != ProbeAppID {
		return false
	}
	probes := g.Shared.Probes
	head, ok := probes.verify(d.device.Pushkey)
	if !ok {
		return false
	}
	d.probe = true
	if age := r.Arrived.At.Sub(head.made()).Abs(); age > ProbeTime { // another gateway's clock may be ahead
		d.decide(decision{result: Rejected})
		return true
	}
	d.decide(decision{result: Dropped})
	by, isDoctor := *r.Arrived, isDoctors(d.device)
	by.UserAgent = abridge(by.UserAgent)
	seen, isNew := probes.note(head, &by, isDoctor)
	if isDoctor {
		d.seen = &seen
	}
	if isNew {
		g.Observer.Probed(by, isDoctor)
	}
	return true
}

// isDoctors reports whether doctor itself sent a probe. Only then does the answer show what was seen of it.
func isDoctors(d *providers.Device) bool {
	var data struct {
		Marked bool `json:"org.matrix-push.doctor"`
	}
	return lenient.Unmarshal(d.Data, &data) == nil && data.Marked
}
