package gateway

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// bubble runs a test in parallel with the others, and in its own time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func TestAVerdictInTimeIsTheAnswer(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	tests := []struct {
		name   string
		o      providers.Outcome
		want   string
		stored bool
	}{
		{"delivered", providers.Delivered(), `[]`, false},
		{"rejected", providers.Rejected("gone"), `["key"]`, true},
		{"unusable is rejected, and not stored", providers.Unusable("bad_token", nil), `["key"]`, false},
		{"dropped", providers.Dropped("too_large", nil), `[]`, false},
		{"an outage rejects nobody (hedwig, common-proxies)", providers.Retry("unreachable", 0, down), `503 after 5s`, false},
		{"a push service that asks for time gets it", providers.Retry("rate_limited", 2*time.Minute, nil), `503 after 2m0s`, false},
		{"a misconfiguration rejects nobody", providers.Misconfigured("bad_topic", nil), `503 after 1m0s`, false},
		{"no classification rejects nobody", providers.Outcome{}, `503 after 5s`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, appFor("app", always(tt.o)))
				wantLine(t, r.notify(event("$e", device("key"))), tt.want)
				if saw := r.attempts(); len(saw) != 1 || saw[0].Outcome != tt.o {
					t.Errorf("the observer saw %+v", saw)
				}
				if got := len(r.store.records) == 1; got != tt.stored {
					t.Errorf("stored: %v, want %v", got, tt.stored)
				}
			})
		})
	}
}

func TestAPushTellsTheProviderAllItNeeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r := newRig(t, appFor("app", p))
		request := mustDecode(t, event("$e", device("key")))
		site := providers.Site{Host: "push.example.org", Port: "443"}
		r.Notify(request, site, everything)
		got := p.asked()[0]
		if got.Device.Pushkey != "key" || got.Device.PushkeyTS != 1_000_000 || got.Site != site || len(got.ID) != 36 {
			t.Errorf("got %+v", got)
		}
		if want := time.Now().Add(24 * time.Hour); !got.Expires.Equal(want) {
			t.Errorf("it expires at %v, want %v", got.Expires, want)
		}
	})
}

func TestAnUnknownAppIsRejected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r := newRig(t, appFor("app", p), appFor("other", p))
		wantLine(t, r.notify(event("$e", deviceOf("unknown", "key", 0))), `["key"]`)
		if len(r.store.records) != 0 {
			t.Error("that is stored, though it is decided again on each request")
		}
		notOther := func(a *App) bool { return a.Pattern != "other" }
		request := mustDecode(t, event("$e", deviceOf("other", "key", 0), device("key2")))
		wantLine(t, line(r.Notify(request, providers.Site{}, notOther)), `["key"]`)
		wantPushes(t, p, 1)
	})
}

func TestNoDevicesIsNoWork(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", always(providers.Delivered())))
		wantLine(t, r.notify(event("$e")), `[]`)
	})
}

func TestAStoredRejection(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	tests := []struct {
		name    string
		device  string
		verdict rejected.Verdict
		later   time.Duration
		want    string
		asked   int
	}{
		{"is answered without the provider", device("key"), rejected.Verdict{PushkeyTS: 1_000_000}, 0, `["key"]`, 0},
		{"is answered for an older registration", deviceOf("app", "key", 999), rejected.Verdict{PushkeyTS: 1_000_000}, 0, `["key"]`, 0},
		{"is over for a newer registration", deviceOf("app", "key", 1001), rejected.Verdict{PushkeyTS: 1_000_000}, 0, `[]`, 1},
		{"is over for one after the time of death", device("key"), rejected.Verdict{Since: time.Unix(999, 0)}, 0, `[]`, 1},
		{"holds for an hour without pushkey_ts", deviceOf("app", "key", 0), rejected.Verdict{}, hour - 1, `["key"]`, 0},
		{"is probed without pushkey_ts after an hour", deviceOf("app", "key", 0), rejected.Verdict{}, hour, `[]`, 1},
		{"is no other pushkey's", device("key2"), rejected.Verdict{PushkeyTS: 1_000_000}, 0, `[]`, 1},
		{"is no other app_id's", deviceOf("app2", "key", 1000), rejected.Verdict{PushkeyTS: 1_000_000}, 0, `[]`, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(providers.Delivered())
				r := newRig(t, appFor("app*", p))
				tt.verdict.At = time.Now()
				if err := r.store.Reject(t.Context(), rejected.KeyOf("app", "key"), tt.verdict); err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.later)
				wantLine(t, r.notify(event("$e", tt.device)), tt.want)
				wantLine(t, r.notify(badge(tt.device)), tt.want)
				wantPushes(t, p, 2*tt.asked)
			})
		})
	}
}

func TestARejectionIsAnsweredAgainWithoutTheProvider(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Rejected("gone"))
		r := newRig(t, appFor("app", p))
		for range 3 {
			wantLine(t, r.notify(event("$e", device("key"))), `["key"]`)
		}
		wantPushes(t, p, 1)
		wantLine(t, r.notify(event("$e", deviceOf("app", "key", 2000))), `["key"]`) // it registered again, and died again
		wantPushes(t, p, 2)
	})
}

func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	t.Run("to look up lets the push through", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := always(providers.Delivered())
			r := newRig(t, appFor("app", p))
			_ = r.store.Reject(t.Context(), rejected.KeyOf("app", "key"), rejected.Verdict{PushkeyTS: 1_000_000})
			r.store.failLookup = errBroken
			wantLine(t, r.notify(event("$e", device("key"))), `[]`)
			wantPushes(t, p, 1)
			if !reflect.DeepEqual(r.saw.reported(), []string{"looking up rejections"}) {
				t.Errorf("the observer saw %q", r.saw.reported())
			}
		})
	})
	t.Run("to record keeps the answer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := always(providers.Rejected("gone"))
			r := newRig(t, appFor("app", p))
			r.store.failNext = errBroken
			for range 2 {
				wantLine(t, r.notify(event("$e", device("key"))), `["key"]`)
			}
			wantPushes(t, p, 2)
			if !reflect.DeepEqual(r.saw.reported(), []string{"recording a rejection", "recording a rejection"}) {
				t.Errorf("the observer saw %q", r.saw.reported())
			}
		})
	})
}

func TestADoubtIsBelievedOnceTheAppDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bad := providers.Outcome{Kind: providers.KindRejected, Reason: "bad_device_token", Doubtful: true}
		app := appFor("app", byPushkey(map[string]providers.Outcome{"bad": bad, "good": providers.Delivered()}))
		app.proven.Store(false)
		r := newRig(t, app)
		wantLine(t, r.notify(event("$1", device("bad"))), `503 after 1m0s`)
		if !r.attempts()[0].Alarm {
			t.Error("the operator was not told")
		}
		wantLine(t, r.notify(event("$1", device("good"))), `[]`)
		wantLine(t, r.notify(event("$1", device("bad"))), `["bad"]`)
	})
}

func TestARequestWaitsAsLongAsItsAppSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(8*time.Second, providers.Delivered())
		r := newRig(t, appFor("app", p))
		start := time.Now()
		wantLine(t, r.notify(event("$e", device("key"))), `503 after 5s`)
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %v", waited)
		}
		r.Shared.Drain(context.Background()) // the attempt goes on, and is remembered
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("drained after %v, want 8s", took)
		}
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		wantPushes(t, p, 1)
	})
}

func TestAnAttemptEndsAfterItsTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hangs := &scripted{script: func(ctx context.Context, _ *providers.Push) providers.Outcome {
			<-ctx.Done()
			return providers.Retry("timeout", 0, ctx.Err())
		}}
		r := newRig(t, appFor("app", hangs))
		start := time.Now()
		r.notify(event("$e", device("key")))
		r.Shared.Drain(context.Background())
		if took := time.Since(start); took != attemptTimeout {
			t.Errorf("took %v, want %v", took, attemptTimeout)
		}
	})
}

func TestAProviderThatPanicsIsContained(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome { panic("secret " + p.Device.Pushkey) }}
		app := appFor("app", p)
		app.Limit = limit.NewFair(1, 0)
		r := newRig(t, app)
		for range 2 { // its slot is released
			wantLine(t, r.notify(event("$e", device("key"))), `503 after 5s`)
		}
		for _, a := range r.attempts() {
			if a.Outcome.Reason != "panic" || strings.Contains(a.Outcome.Err.Error(), "secret") {
				t.Errorf("the observer saw %+v", a.Outcome)
			}
		}
		wantPushes(t, p, 2)
	})
}

func TestAnAppThatIsBusyRejectsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(2*time.Second, providers.Delivered())
		app := appFor("app", p)
		app.Limit = limit.NewFair(1, 1)
		r := newRig(t, app)
		answers := make(chan string)
		for _, id := range []string{"$1", "$2", "$3", "$4"} {
			go func() { answers <- r.notify(event(id, device("key"))) }()
			synctest.Wait()
		}
		for _, want := range []string{`503 after 5s`, `503 after 5s`, `[]`, `[]`} {
			wantLine(t, <-answers, want)
		}
		wantPushes(t, p, 2)
	})
}
