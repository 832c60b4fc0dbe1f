package node

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	domain = "example.test"
	// fcmToken has the size and the characters of a token of FCM.
	fcmToken = "cF0zKq7_TZmWx1-Yv9aBcD:APA91b" +
		"Hq3sT-9xK_2mN7vB4cL8zX1aS5dF6gH0jKqWeRtYuIoPlMnBvCxZaSdFgHjKlQwErTyUiO" +
		"pAsDfGhJkLzXcVbNm1234567890-_abcdefghijklmnopqrstuvwxyzABCDEFGHI"
	apnsToken = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
	account   = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
)

var _ Storage = (*certmagic.FileStorage)(nil)

// memory is a storage that counts its readings, and can fail.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	loads  int
	fails  error
	takes  time.Duration // of a reading, whatever the context says
	lock   sync.Mutex    // the storage's own lock
}

func (m *memory) Lock(context.Context, string) error { m.lock.Lock(); return nil }

func (m *memory) Unlock(context.Context, string) error { m.lock.Unlock(); return nil }

func (m *memory) Load(_ context.Context, path string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	takes := m.takes
	m.mu.Unlock()
	time.Sleep(takes)
	m.mu.Lock()
	value, ok := m.values[path]
	switch {
	case m.fails != nil:
		return nil, m.fails
	case !ok:
		return nil, fs.ErrNotExist
	}
	return value, nil
}

func (m *memory) Store(_ context.Context, path string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return m.fails
	}
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[path] = value
	return nil
}

func (m *memory) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func openRing(t *testing.T, storage Storage) *Ring {
	t.Helper()
	r, err := Open(t.Context(), storage, "push.example.test")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func registered() Registration {
	return Registration{App: "fcm", Token: fcmToken, Account: account, Secret: true}
}

func seal(t *testing.T, r *Ring, registration Registration) (node, secret string) {
	t.Helper()
	node, secret, err := r.Seal(t.Context(), registration, domain)
	if err != nil {
		t.Fatal(err)
	}
	return node, secret
}

func rotate(t *testing.T, r *Ring) {
	t.Helper()
	if _, err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantOpen compares what a node opens to.
func wantOpen(t *testing.T, r *Ring, node, secret string, want Registration) {
	t.Helper()
	if got, err := r.Open(t.Context(), node, secret, domain); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// wantError compares why a node does not open.
func wantError(t *testing.T, r *Ring, node, secret, domain string, want error) {
	t.Helper()
	if got, err := r.Open(t.Context(), node, secret, domain); !errors.Is(err, want) || got != (Registration{}) {
		t.Errorf("got %+v, %v, want %v", got, err, want)
	}
}

func TestX22_ANodeOpensForItsDomainAndWithItsSecretOnly(t *testing.T) {
	t.Parallel()
	r := openRing(t, new(memory))
	node, secret := seal(t, r, registered())
	_, other := seal(t, r, Registration{App: "fcm", Token: "another", Secret: true})
	wantOpen(t, r, node, secret, registered())
	for _, test := range []struct {
		name, secret, domain string
		want                 error
	}{
		{"no secret", "", domain, ErrSecret},
		{"the secret of another node", other, domain, ErrSecret},
		{"a longer secret", secret + "A", domain, ErrSecret},
		{"another domain", secret, "example.org", ErrInvalid},
		{"a subdomain", secret, "a." + domain, ErrInvalid},
		{"no domain", secret, "", ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantError(t, r, node, test.secret, test.domain, test.want)
		})
	}
	if got, err := r.Open(t.Context(), node, secret, "EXAMPLE.test"); err != nil || got != registered() {
		t.Errorf("a domain in other capitals: got %+v, %v", got, err)
	}
}

// A client of Tigase gets no secret, and its server sends none. Nobody can make a node with a secret one without.
func TestX23_ANodeWithoutASecretNeedsNone(t *testing.T) {
	t.Parallel()
	r := openRing(t, new(memory))
	registration := Registration{App: "ios", Token: apnsToken}
	node, secret := seal(t, r, registration)
	if secret != "" {
		t.Error("the node has a secret")
	}
	wantOpen(t, r, node, "", registration)
	wantOpen(t, r, node, "whatever a client sends", registration)
	registration.Secret = true
	if with, _ := seal(t, r, registration); with == node {
		t.Error("a node with a secret is the same as one without")
	}
}

func TestX25_SealedNodesSurviveARestart(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	before := openRing(t, storage)
	node, secret := seal(t, before, registered())
	after := openRing(t, storage)
	wantOpen(t, after, node, secret, registered())
	if again, _ := seal(t, after, registered()); again != node {
		t.Error("the same registration got another node: a server would keep both")
	}
}

func TestX25_ANodeWithOneChangedBitNeverOpens(t *testing.T) {
	t.Parallel()
	r := openRing(t, new(memory))
	node, secret := seal(t, r, registered())
	raw, err := encoding.DecodeString(strings.TrimPrefix(node, prefix))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		raw[bit/8] ^= 1 << (bit % 8)
		want := ErrInvalid
		if bit < idSize*8 {
			want = ErrUnknownKey
		}
		wantError(t, r, prefix+encoding.EncodeToString(raw), secret, domain, want)
		raw[bit/8] ^= 1 << (bit % 8)
	}
	// The last character of this node has bits that encode nothing.
	spare := node[:len(node)-1] + string(node[len(node)-1]+1)
	for _, changed := range []string{spare, node + "A", node + "\n", node[:len(node)-1], node[:20], prefix, prefix + "!", prefix + node} {
		wantError(t, r, changed, secret, domain, ErrInvalid)
	}
	for _, token := range []string{"", fcmToken, apnsToken, "s1", "S1." + node, "https://up.example/s1.x"} {
		wantError(t, r, token, secret, domain, ErrNotSealed)
	}
}

func TestX25_AfterTwoRotationsTheOldestNodeIsRetired(t *testing.T) {
	t.Parallel()
	storage := new(memory)
	r := openRing(t, storage)
	first, firstSecret := seal(t, r, registered())
	rotate(t, r)
	second, secondSecret := seal(t, r, registered())
	if first == second {
		t.Fatal("the new key makes no new nodes")
	}
	wantOpen(t, r, first, firstSecret, registered())
	wantError(t, r, first, secondSecret, domain, ErrSecret)
	rotate(t, r)
	for _, r := range []*Ring{r, openRing(t, storage)} {
		wantError(t, r, first, firstSecret, domain, ErrRetired)
		wantOpen(t, r, second, secondSecret, registered())
	}
	all := r.Keys()
	if len(all) != 3 || all[0].Retired != all[1].Retired || all[2].Retired.IsZero() || all[2].ID != hex.EncodeToString(keyID(t, first)) {
		t.Errorf("got the keys %+v", all)
	}
}

func keyID(t *testing.T, node string) []byte {
	t.Helper()
	name, _, err := split(node)
	if err != nil {
		t.Fatal(err)
	}
	return name[:]
}

// If the storage was lost, no server may delete a registration: the operator may have a copy.
func TestX25_ANodeFromALostStorageIsNotRetired(t *testing.T) {
	t.Parallel()
	node, secret := seal(t, openRing(t, new(memory)), registered())
	wantError(t, openRing(t, new(memory)), node, secret, domain, ErrUnknownKey)
}

func TestARotationKeepsTheKeysOfALostStorage(t *testing.T) {
	t.Parallel()
	storage := new(memory)
	r := openRing(t, storage)
	node, secret := seal(t, r, registered())
	storage.change(func() { storage.values = nil })
	rotate(t, r)
	wantOpen(t, openRing(t, storage), node, secret, registered())
}

func TestGatewaysThatShareAStorageShareTheKeys(t *testing.T) {
	t.Parallel()
	storage := new(memory)
	rings := make([]*Ring, 8)
	var started sync.WaitGroup
	for i := range rings {
		started.Go(func() { rings[i], _ = Open(t.Context(), storage, "push.example.test") })
	}
	started.Wait()
	node, secret := seal(t, rings[0], registered())
	for _, r := range rings {
		wantOpen(t, r, node, secret, registered())
	}
}

func TestARotationReachesOtherGateways(t *testing.T) {
	t.Parallel()
	storage, now := new(memory), time.Now()
	here, there := openRing(t, storage), openRing(t, storage)
	there.now = func() time.Time { return now }
	old, _ := seal(t, here, registered())
	rotate(t, here)
	node, secret := seal(t, here, registered())

	// A node of the new key makes the other gateway read the keys at once.
	now = now.Add(2 * askEvery)
	wantOpen(t, there, node, secret, registered())
	if again, _ := seal(t, there, registered()); again != node {
		t.Error("the other gateway makes other nodes")
	}
	// Without such a node, it reads them in a minute.
	rotate(t, here)
	now = now.Add(2 * freshFor)
	wantError(t, there, old, "", domain, ErrRetired)
	now = now.Add(-24 * time.Hour)
	rotate(t, here)
	wantError(t, there, node, secret, domain, ErrRetired)
}

func TestStrangersCannotMakeTheStorageBusy(t *testing.T) {
	t.Parallel()
	storage, now := new(memory), time.Now()
	r := openRing(t, storage)
	r.now = func() time.Time { return now }
	now = now.Add(2 * askEvery)
	storage.change(func() { storage.loads = 0 })
	var asked sync.WaitGroup
	for range 100 {
		asked.Go(func() {
			wantError(t, r, prefix+encoding.EncodeToString(random(100)), "", domain, ErrUnknownKey)
		})
	}
	asked.Wait()
	storage.change(func() {
		if storage.loads != 1 {
			t.Errorf("the storage was read %d times", storage.loads)
		}
	})
}

func TestASlowStorageHoldsUpOnePushAndNoRotationForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		storage := new(memory)
		r := openRing(t, storage)
		time.Sleep(2 * askEvery)
		storage.change(func() { storage.loads, storage.takes = 0, time.Hour })
		began, held := time.Now(), make(chan bool, 100)
		for range cap(held) {
			go func() {
				wantError(t, r, prefix+encoding.EncodeToString(random(100)), "", domain, ErrUnknownKey)
				held <- time.Since(began) > askWait
			}()
		}
		synctest.Wait()
		if _, err := r.Rotate(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != rotateTime {
			t.Errorf("after %v, a rotation ends with %v", time.Since(began), err)
		}
		if n := len(held); n != cap(held)-1 {
			t.Errorf("%d pushes are held up", cap(held)-n)
		}
		time.Sleep(time.Hour - time.Since(began))
		synctest.Wait()
		wantError(t, r, prefix+encoding.EncodeToString(random(100)), "", domain, ErrUnknownKey)
		storage.change(func() {
			if storage.loads != 1 {
				t.Errorf("the storage was read %d times", storage.loads)
			}
		})
	})
}

func TestKeysInMemoryOutliveAnOutageOfTheStorage(t *testing.T) {
	t.Parallel()
	storage, now := new(memory), time.Now()
	r := openRing(t, storage)
	r.now = func() time.Time { return now }
	node, secret := seal(t, r, registered())
	for _, outage := range []func(){
		func() { storage.fails = errors.New("no storage") },
		func() { storage.fails, storage.values = nil, nil },
		func() { storage.values = map[string][]byte{r.path: []byte("{")} },
	} {
		storage.change(outage)
		now = now.Add(2 * freshFor)
		wantOpen(t, r, node, secret, registered())
	}
	if _, err := r.Rotate(t.Context()); err == nil {
		t.Error("a ring that cannot be read was replaced")
	}
	wantOpen(t, r, node, secret, registered())
}

func TestAStoredRingThatCannotBeReadIsAnErrorWithoutSecrets(t *testing.T) {
	t.Parallel()
	const canary = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"
	for _, stored := range []string{
		"", "{", "{}", `{"keys":[]}`, `{"keys":[{"id":"00000000","key":"` + canary + `"}]}`, `{"keys":[{"id":"` + canary + `","key":""}]}`,
		`{"keys":[{"id":"00000000","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}],"retired":[{"id":"00000000"}]}`,
		`{"keys":"` + canary + `"}`,
	} {
		storage := &memory{values: map[string][]byte{"matrix_push/xmpp/push.example.test.json": []byte(stored)}}
		_, err := Open(t.Context(), storage, "push.example.test")
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", stored, err)
		}
		if got := string(storage.values["matrix_push/xmpp/push.example.test.json"]); got != stored {
			t.Errorf("%s was replaced by %s", stored, got)
		}
	}
}

func TestARingsNameCannotLeaveItsFolder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "../a", "a/b", ".a", `a\b`, "a\x00"} {
		if _, err := Open(t.Context(), new(memory), name); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

// MongooseIM's table has 250 characters for a node. Nodes must differ in the first 191, which is all that ejabberd compares with MySQL.
func TestANodeFitsIntoTheTablesOfServers(t *testing.T) {
	t.Parallel()
	r := openRing(t, new(memory))
	fcm, _ := seal(t, r, registered())
	if len(fcmToken) != 163 || len(fcm) != 245 {
		t.Errorf("a node for a token of %d characters has %d characters", len(fcmToken), len(fcm))
	}
	changed := registered()
	changed.Token = changed.Token[:162] + "z"
	if other, _ := seal(t, r, changed); other[:80] == fcm[:80] {
		t.Error("two nodes begin with the same characters")
	}
	apns, _ := seal(t, r, Registration{App: "im.example.ios", Token: apnsToken})
	if len(apns) > 120 {
		t.Errorf("a node for APNs has %d characters", len(apns))
	}
}

func TestRegistrationsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	r := openRing(t, new(memory))
	channel := strings.Repeat("0a", hashSize)
	for _, registration := range []Registration{
		registered(),
		{App: "a", Token: "t"},
		{App: "a", Token: apnsToken, Channel: channel},
		{App: strings.Repeat("a", 255), Token: strings.Repeat("t:", maxToken/2), Account: account, Channel: channel, Secret: true},
	} {
		node, secret := seal(t, r, registration)
		wantOpen(t, r, node, secret, registration)
	}
	for _, registration := range []Registration{
		{},
		{App: "a"},
		{Token: "t"},
		{App: strings.Repeat("a", 256), Token: "t"},
		{App: "a", Token: strings.Repeat("t", maxToken+1)},
		{App: "a", Token: "t", Account: "alice"},
		{App: "a", Token: "t", Channel: account + "00"},
	} {
		if node, _, err := r.Seal(t.Context(), registration, domain); err == nil || strings.Contains(err.Error(), "alice") {
			t.Errorf("%+v: %q, %v", registration, node, err)
		}
	}
}

func TestTokensComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	const characters = "abcXYZ019-_:\n=é"
	for range 10000 {
		var token strings.Builder
		for range rand.IntN(12) {
			token.WriteByte(characters[rand.IntN(len(characters))])
		}
		wantToken(t, token.String())
	}
	for _, token := range []string{
		"", ":", "::", "a:", ":a", "0a", "0A", "0", "AAAA", "AAAB", "AA", strings.Repeat("a", 300) + ":b", fcmToken, apnsToken,
	} {
		wantToken(t, token)
	}
}

func wantToken(t *testing.T, token string) {
	t.Helper()
	way, packed := packToken(token)
	if got, err := unpackToken(way, packed); err != nil || got != token || way >= ways || len(packed) > len(token)+4 {
		t.Errorf("%q: got %q, %v from %d %q", token, got, err, way, packed)
	}
}

// FuzzOpen opens nodes that strangers made up, and decodes what only this package seals.
func FuzzOpen(f *testing.F) {
	r, err := Open(f.Context(), new(memory), "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	node, secret, err := r.Seal(f.Context(), registered(), domain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(node, secret, domain)
	f.Add(prefix, "", "")
	f.Add(fcmToken, "", domain)
	f.Fuzz(func(t *testing.T, fuzzed, fuzzedSecret, fuzzedDomain string) {
		got, err := r.Open(t.Context(), fuzzed, fuzzedSecret, fuzzedDomain)
		if err == nil && (got != registered() || fuzzed != node || fuzzedSecret != secret) {
			t.Errorf("a node was made up: %+v", got)
		}
		wantToken(t, fuzzed)
		if decoded, err := decode([]byte(fuzzed)); err == nil && decoded.App != "" && decoded.Token != "" && len(decoded.Token) <= maxToken {
			if _, err := decoded.encode(); err != nil {
				t.Errorf("%+v: %v", decoded, err)
			}
		}
	})
}
