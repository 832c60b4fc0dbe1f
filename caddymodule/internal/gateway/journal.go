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

// maxAccounts bounds the devices whose latest attempt is remembered.
const maxAccounts = 8192

// journal keeps recent attempts for the operator: the latest attempt for each device, and each app's troubles. It is safe for
// concurrent use.
type journal struct {
	mu       sync.Mutex
	accounts *simplelru.LRU[rejected.Key, *Account]
	apps     map[string]*chronicle
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

func newJournal() *journal {
	accounts, err := simplelru.NewLRU[rejected.Key, *Account](maxAccounts, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &journal{accounts: accounts, apps: make(map[string]*chronicle)}
}

// note records an attempt.
func (j *journal) note(a Attempt, now time.Time) {
	account := Account{
		At: now, App: a.App.Pattern, Outcome: a.Kind(), Reason: a.Outcome.Reason, Word: a.Outcome.Word, wrongKey: a.Outcome.WrongKey,
		unusable: a.Outcome.Unusable, doubtful: a.Outcome.Doubtful,
	}
	if a.Outcome.Err != nil {
		account.Detail = a.Outcome.Err.Error()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	last, known := j.accounts.Get(a.Key)
	if !known {
		last = new(Account)
		j.accounts.Add(a.Key, last)
	}
	switch {
	case a.Outcome.Kind == providers.KindDelivered:
		account.delivered = now
	case !a.Result.dead():
		account.delivered = last.delivered
	}
	*last = account
	c := j.apps[account.App]
	if c == nil {
		c = &chronicle{troubles: make(map[string]*Trouble)}
		j.apps[account.App] = c
	}
	switch {
	case a.Outcome.Kind == providers.KindDelivered:
		c.delivered = now
		c.disprove(a.Host, now)
	case a.Alarm, a.Outcome.Kind == providers.KindRetry, a.Outcome.Kind == providers.KindDropped, a.Outcome.Kind == providers.KindSuspected:
		if t := c.trouble(account); t != nil {
			t.happened(&a, account)
			c.ongoing = true
		}
	}
}

// proved notes that a test push was delivered. It ends troubles, as another delivery does.
func (j *journal) proved(app *App, host string, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if c := j.apps[app.Pattern]; c != nil {
		c.disprove(host, now)
	}
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
	if a, known := j.accounts.Peek(k); known {
		return *a, true
	}
	return Account{}, false
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
