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
	// maxAccounts bounds the devices whose latest attempt is known.
	maxAccounts = 8192
	// maxTroubles bounds the reasons that are kept for an app.
	maxTroubles = 32
)

// journal keeps what an operator may ask about recent attempts: the latest at each device, and each app's troubles. It is safe for
// concurrent use.
type journal struct {
	mu       sync.Mutex
	accounts *simplelru.LRU[rejected.Key, Account]
	apps     map[string]*chronicle
}

// chronicle is what the journal has of an app.
type chronicle struct {
	delivered time.Time
	troubles  map[string]*Trouble // by reason
}

// Account is what became of an attempt.
type Account struct {
	At      time.Time `json:"at"`
	App     string    `json:"app"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason"`
	// Word is the push service's own word; absent if it gave none.
	Word   string `json:"word,omitempty"`
	Detail string `json:"detail,omitempty"`

	// wrongKey says that the device subscribed with another key than the app's.
	wrongKey bool
	// delivered is when a push was last delivered to the device; zero if none was since a verdict that it is dead.
	delivered time.Time
}

// Trouble is a reason for which an app's pushes were not delivered.
type Trouble struct {
	Reason string `json:"reason"`
	// Count is how often since the process began, First and Last when.
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Word is the push service's own word for the latest; absent if it gave none.
	Word string `json:"word,omitempty"`
	// Detail is what more is known of the latest.
	Detail string `json:"detail,omitempty"`
	// Alarm says that the operator has to act.
	Alarm bool `json:"alarm"`

	// settings says that wrong settings of the app's explain it, and not only the fuse.
	settings bool
	// blamed are the latest hosts that refused what is set up, where devices choose them.
	blamed [maxBlamed]string
}

// maxBlamed is how many hosts a trouble remembers.
const maxBlamed = 4

// blame notes a host.
func (t *Trouble) blame(host string) {
	if host == "" || slices.Contains(t.blamed[:], host) {
		return
	}
	copy(t.blamed[1:], t.blamed[:])
	t.blamed[0] = host
}

// goesOn reports whether the operator still has to act on a trouble that the settings of the app explain, which delivered last then.
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

// note keeps an attempt.
func (j *journal) note(a Attempt, now time.Time) {
	account := Account{At: now, App: a.App.Pattern, Outcome: a.Kind(), Reason: a.Outcome.Reason, Word: a.Outcome.Word, wrongKey: a.Outcome.WrongKey}
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

// add counts a trouble; nil if there are too many to keep it.
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

// of is when an app last delivered something, zero if it did not, and its troubles, the latest first.
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

// account is what is known of the latest attempt at a device.
func (j *journal) account(k rejected.Key) (Account, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.accounts.Peek(k)
}

// deliveredSince reports whether something was delivered to a device after a time.
func (j *journal) deliveredSince(k rejected.Key, since time.Time) bool {
	a, ok := j.account(k)
	return ok && a.delivered.After(since)
}

// matching are the devices whose keys begin with a prefix in hexadecimal.
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
