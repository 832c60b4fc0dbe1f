package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// choosy is a provider that can tell from a pushkey whether it is valid.
type choosy struct{ *scripted }

func (choosy) Usable(d *providers.Device, site providers.Site) error {
	switch {
	case strings.HasPrefix(d.Pushkey, "bad"):
		return &providers.UnusableError{Reason: "bad_token", Err: errors.New("it is not base64")}
	case strings.HasPrefix(d.Pushkey, "astray") && site.Host != "":
		return &providers.UnusableError{Reason: "bad_endpoint", Err: errors.New("it is at another port"), Doubtful: true}
	case strings.HasPrefix(d.Pushkey, "worse"):
		return errors.New("whatever")
	}
	return nil
}

// With wait 0, an undecodable token was once rejected in 0 of 30 answers.
func TestADeviceThatNothingCanBeDeliveredToIsNamedEachTime(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{0, DefaultWait} {
		t.Run(wait.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := choosy{after(time.Second, providers.Delivered())}
				app := appFor("app", p)
				app.Wait = wait
				r, _ := keeping(t, app)
				r.Fuse = FuseOptions{Share: 0.5, Window: 10 * time.Minute}
				for i := range 30 {
					wantLine(t, r.notify(event("$e", device("bad"+string(rune('a'+i))), device("good"), device("worse"))),
						`["bad`+string(rune('a'+i))+`","worse"]`)
				}
				r.Shared.Drain(context.Background())
				wantPushes(t, p.scripted, 1)
				if len(r.store.records) != 0 || r.Fuses()[1].Dead != 0 || len(r.saw.seen()) != 0 {
					t.Errorf("on record are %d, the fuse is %+v, the observer saw %q", len(r.store.records), r.Fuses()[1], r.saw.seen())
				}
				if a := r.saw.attempts[0]; a.Outcome.Reason != "bad_token" || a.Kind() != "rejected" {
					t.Errorf("the attempt is %+v", a)
				}
			})
		})
	}
}

// A reload without allow_private makes the endpoints at another port of the own host look mistyped.
func TestADeviceThatTookAPushIsNotUnusableForWhatASettingExplains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := choosy{always(providers.Delivered())}
		r, _ := keeping(t, appFor("app", p))
		wantLine(t, r.notify(event("$before", device("astray/known"))), `[]`)
		r.site = providers.Site{Host: "push.example.org", Port: "443"}
		wantLine(t, r.notify(event("$e", device("astray/known"), device("astray/typo"))), `["astray/typo"]`)
		r.Shared.Drain(t.Context())
		wantPushes(t, p.scripted, 2)
		if len(r.store.records) != 0 {
			t.Errorf("on record are %+v", r.store.records)
		}
	})
}

// receivers.md 7: a reload without allow_private dropped pending pushes.
func TestWhatAReloadBlocksIsHeldUntilAnotherOneAllowsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		blocked := providers.Blocked("blocked", errors.New("a private address"))
		p := newOutage(providers.Retry("unavailable", 0, nil))
		r, _ := keeping(t, appFor("app", p))
		p.fixed.Store(true)
		wantLine(t, r.notify(event("$before", device("known"))), `[]`)
		p.fixed.Store(false)
		wantLine(t, r.notify(event("$pending", device("key"))), `[]`)
		p.become(func(context.Context, *providers.Push) providers.Outcome { return blocked })
		time.Sleep(10 * time.Minute) // it was reloaded with a mistake
		synctest.Wait()
		wantLine(t, r.notify(event("$meanwhile", device("known"))), `[]`) // which was delivered to before
		wantLine(t, r.notify(event("$nobody", device("stranger"))), `[]`) // which was not: dropped
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		before := len(p.asked())
		p.become(func(context.Context, *providers.Push) providers.Outcome { return providers.Delivered() })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for pushkey, want := range map[string]string{"key": "$pending", "known": "$meanwhile", "stranger": ""} {
			if got := strings.Join(p.since(before, pushkey), " "); got != want {
				t.Errorf("%s got %q, want %q", pushkey, got, want)
			}
		}
		if len(r.store.records) != 0 {
			t.Errorf("%d records", len(r.store.records))
		}
	})
}
