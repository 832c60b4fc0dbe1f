package gateway

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func attemptOf(app, pushkey string, o providers.Outcome) Attempt {
	return Attempt{App: &App{Pattern: app}, Key: rejected.KeyOf(app, pushkey), Outcome: o}
}

func TestTheJournalKnowsTheLatestAttemptAtADevice(t *testing.T) {
	t.Parallel()
	j, now := newJournal(), time.Now()
	j.note(attemptOf("app", "key", providers.Delivered()), now)
	j.note(attemptOf("app", "key", providers.Retry("timeout", 0, errors.New("it took too long"))), now.Add(time.Second))
	j.note(attemptOf("app", "other", providers.Delivered()), now.Add(2*time.Second))
	want := Account{At: now.Add(time.Second), App: "app", Outcome: "retry", Reason: "timeout", Detail: "it took too long", delivered: now}
	if got, ok := j.account(rejected.KeyOf("app", "key")); !ok || got != want {
		t.Errorf("it has %+v, want %+v", got, want)
	}
	if _, ok := j.account(rejected.KeyOf("app", "nobody")); ok {
		t.Error("it knows a device that there was no attempt at")
	}
}

func TestTheJournalDoesNotGrowWithoutEnd(t *testing.T) {
	t.Parallel()
	j := newJournal()
	for i := range maxAccounts + 10 {
		j.note(attemptOf("app", fmt.Sprint(i), providers.Retry(fmt.Sprint("reason_", i), 0, nil)), time.Now())
		if i == maxAccounts/2 {
			j.note(attemptOf("app", "1", providers.Delivered()), time.Now())
		}
	}
	if n := j.accounts.Len(); n != maxAccounts {
		t.Errorf("it has %d accounts", n)
	}
	if _, troubles := j.of(&App{Pattern: "app"}); len(troubles) != maxTroubles {
		t.Errorf("it has %d troubles", len(troubles))
	}
	if _, ok := j.account(rejected.KeyOf("app", "0")); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := j.account(rejected.KeyOf("app", "1")); !ok {
		t.Error("one that was used again is not there")
	}
	if _, ok := j.account(rejected.KeyOf("app", fmt.Sprint(maxAccounts+9))); !ok {
		t.Error("the latest is not there")
	}
}

func TestTheJournalFindsDevicesByTheBeginningOfTheirHash(t *testing.T) {
	t.Parallel()
	j := newJournal()
	for i := range 100 {
		j.note(attemptOf("app", fmt.Sprint(i), providers.Delivered()), time.Now())
	}
	k := rejected.KeyOf("app", "7")
	if got := j.matching(k.Short()); len(got) != 1 || got[0] != k {
		t.Errorf("found %v", got)
	}
	if got := j.matching(""); len(got) != 100 {
		t.Errorf("found %d of all", len(got))
	}
	if got := j.matching("no hash"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}

func TestAVerdictAboutAPushkeyIsNotATroubleOfItsApp(t *testing.T) {
	t.Parallel()
	j := newJournal()
	dead := attemptOf("app", "key", providers.Rejected("gone"))
	dead.Result = Rejected
	j.note(dead, time.Now())
	if delivered, troubles := j.of(&App{Pattern: "app"}); len(troubles) != 0 || !delivered.IsZero() {
		t.Errorf("delivered at %v, with the troubles %+v", delivered, troubles)
	}
}
