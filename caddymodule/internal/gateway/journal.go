package gateway

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// maxAccounts bounds the devices whose latest attempt is remembered.
	maxAccounts = 8192
	// maxTroubles bounds the reasons that are kept for an app.
	maxTroubles = 32
)

// journal keeps recent attempts for the operator: the latest attempt for each device, and each app's troubles. It is safe for
// concurrent use.
type journal struct {
	mu       sync.Mutex
	accounts *simplelru.LRU[rejected.Key, Account]
	apps     map[string]*chronicle
}

// chronicle is the journal of one app.
type chronicle struct {
	delivered time.Time
	troubles  map[string]*Trouble // by reason
}

// Account is the result of an attempt.
type Account struct {
	At      time.Time `json:"at"`
	App     string    `json:"app"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason"`
	// Explanation is what the reason means and what to do about it; absent if nobody knows.
	Explanation string `json:"explanation,omitempty"`
	// Word is the push service's own word; absent if it gave none.
	Word   string `json:"word,omitempty"`
	Detail string `json:"detail,omitempty"`

	// wrongKey means that the device subscribed with another key than the app's.
	wrongKey bool
	// unusable means that the device's own data prove that nothing can be delivered to it, and doubtful that the rejection counts only once
	// the app has delivered something.
	unusable, doubtful bool
	// delivered is when a push was last delivered to the device; zero if there was no delivery since a verdict that it is dead.
	delivered time.Time
}

// Trouble is a reason why an app's pushes were not delivered.
type Trouble struct {
	Reason string `json:"reason"`
	// Explanation is what the reason means and what to do about it; absent if nobody knows.
	Explanation string `json:"explanation,omitempty"`
	// Count is how often it happened since the process began. First and Last are when.
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Word is the push service's own word in the latest case; absent if it gave none.
	Word string `json:"word,omitempty"`
	// Detail describes the latest case.
	Detail string `json:"detail,omitempty"`
	// Alarm means that the operator must act.
	Alarm bool `json:"alarm"`

	// settings means that wrong settings of the app explain it, and not only the fuse.
	settings bool
	// blamed are the latest hosts that refused the app's settings, where devices choose the host.
	blamed [maxBlamed]string
}

// maxBlamed is how many hosts a trouble remembers.
const maxBlamed = 4

// blame adds a host.
func (t *Trouble) blame(host string) {
	if host == "" || slices.Contains(t.blamed[:], host) {
		return
	}
	copy(t.blamed[1:], t.blamed[:])
	t.blamed[0] = host
}

// goesOn reports whether the operator must still act on a trouble caused by the app's settings. delivered is when the app last
// delivered a push.
func (t *Trouble) goesOn(app *App, delivered time.Time) bool {
	if t.blamed[0] == "" {
		return !delivered.After(t.Last)
	}
	return slices.ContainsFunc(t.blamed[:], func(host string) bool { return host != "" && app.hosts.blames(host, app.load) })
}

func newJournal() *journal {
	accounts, err := simplelru.NewLRU[rejected.Key, Account](maxAccounts, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &journal{accounts: accounts, apps: make(map[string]*chronicle)}
}

// note records an attempt.
func (j *journal) note(a Attempt, now time.Time) {
	account := Account{At: now, App: a.App.Pattern, Outcome: a.Kind(), Reason: a.Outcome.Reason, Word: a.Outcome.Word, wrongKey: a.Outcome.WrongKey}
	account.unusable, account.doubtful = a.Outcome.Unusable, a.Outcome.Doubtful
	if a.Outcome.Err != nil {
		account.Detail = a.Outcome.Err.Error()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch last, _ := j.accounts.Peek(a.Key); {
	case a.Outcome.Kind == providers.KindDelivered:
		account.delivered = now
	case !a.Result.dead():
		account.delivered = last.delivered
	}
	j.accounts.Add(a.Key, account)
	c := j.apps[account.App]
	if c == nil {
		c = &chronicle{troubles: make(map[string]*Trouble)}
		j.apps[account.App] = c
	}
	switch {
	case a.Outcome.Kind == providers.KindDelivered:
		c.delivered = now
	case a.Alarm, a.Outcome.Kind == providers.KindRetry, a.Outcome.Kind == providers.KindDropped, a.Outcome.Kind == providers.KindSuspected:
		if t := c.add(account); t != nil {
			t.Alarm, t.settings = a.Alarm, a.Alarm && (a.Outcome.Kind == providers.KindMisconfigured || a.Outcome.Doubtful)
			if a.Alarm && a.Outcome.Kind == providers.KindMisconfigured {
				t.blame(a.Host)
			}
		}
	}
}

// add counts a trouble. It returns nil if there are too many to keep it.
func (c *chronicle) add(a Account) *Trouble {
	t := c.troubles[a.Reason]
	if t == nil {
		if len(c.troubles) >= maxTroubles {
			return nil
		}
		t = &Trouble{Reason: a.Reason, First: a.At}
		c.troubles[a.Reason] = t
	}
	t.Count++
	t.Last, t.Word, t.Detail = a.At, a.Word, a.Detail
	return t
}

// of returns when an app last delivered a push, or zero, and its troubles, latest first.
func (j *journal) of(app *App) (delivered time.Time, troubles []Trouble) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.apps[app.Pattern]
	if c == nil {
		return time.Time{}, nil
	}
	for _, t := range c.troubles {
		troubles = append(troubles, *t)
	}
	slices.SortFunc(troubles, func(a, b Trouble) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason))
	})
	return c.delivered, troubles
}

// account returns what is known about the latest attempt for a device.
func (j *journal) account(k rejected.Key) (Account, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.accounts.Peek(k)
}

// deliveredSince reports whether a push was delivered to a device after a time.
func (j *journal) deliveredSince(k rejected.Key, since time.Time) bool {
	a, ok := j.account(k)
	return ok && a.delivered.After(since)
}

// matching returns the devices whose keys begin with a prefix in hexadecimal.
func (j *journal) matching(prefix string) (keys []rejected.Key) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.accounts.Keys() {
		if strings.HasPrefix(k.String(), prefix) {
			keys = append(keys, k)
		}
	}
	return keys
}
