package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// tightBox is an outbox in which each push displaces another one, or that has no room.
type tightBox struct {
	*memoryBox
	displaced []outbox.Ref
	err       error
}

func (b tightBox) Accept(ctx context.Context, e outbox.Entry) ([]outbox.Ref, error) {
	if b.err != nil {
		return b.displaced, b.err
	}
	_, err := b.memoryBox.Accept(ctx, e)
	return b.displaced, err
}

func TestAPushThatMadeWayIsReported(t *testing.T) {
	for name, err := range map[string]error{"for one that was accepted": nil, "for one of which that is unsure": outbox.ErrUnsure} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, appFor("app", always(providers.Retry("http_503", 0, nil)))).withOutbox()
				key := rejected.KeyOf("app", "displaced")
				r.use(tightBox{r.box, []outbox.Ref{{App: "app", Device: key, ID: "old"}}, err})
				r.notify(event("$1", device("key")))
				a, ok := r.Shared.journal.account(key)
				if !ok || a.Outcome != "dropped" || a.Reason != "displaced" || a.App != "app" {
					t.Errorf("the journal has %+v, %v", a, ok)
				}
				n := 0
				for _, a := range r.attempts() {
					if a.Key == key {
						n++
						if a.Kind() != "dropped" || a.Outcome.Reason != "displaced" || a.App.Pattern != "app" || a.Result != Dropped || a.Alarm || !a.Untried {
							t.Errorf("reported was %+v", a)
						}
					}
				}
				if n == 0 || err == nil && n != 1 {
					t.Errorf("it was reported %d times", n)
				}
				r.Shared.Close() // ends the doubt
			})
		})
	}
}

// degradedBy returns the apps that the outbox degrades.
func degradedBy(r *rig) (apps []string) {
	for _, d := range r.Degradations(r.Status(context.Background())) {
		if d.Reason == "outbox_full" {
			since := "unknown"
			if d.Since != nil {
				since = time.Since(*d.Since).String()
			}
			apps = append(apps, d.App+" since "+since)
		}
	}
	return apps
}

func TestAPushThatIsRefusedForWantOfRoomDegradesItsAppForAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", always(providers.Delivered()))
		r := newRig(t, app, appFor("other", always(providers.Delivered()))).withOutbox()
		r.use(tightBox{r.box, nil, outbox.ErrFull})
		e := outbox.Entry{App: "app", Group: "example.org", Standing: outbox.Guest}
		for range 3 {
			if err := r.place(app, e); !errors.Is(err, outbox.ErrFull) {
				t.Errorf("error %v, want ErrFull", err)
			}
			time.Sleep(30 * time.Second)
		}
		if got := degradedBy(r); !slices.Equal(got, []string{"app since 1m30s"}) {
			t.Errorf("degraded are %q", got)
		}
		time.Sleep(30 * time.Second)
		if got := degradedBy(r); len(got) != 1 {
			t.Errorf("after a minute, degraded are %q", got)
		}
		time.Sleep(time.Second)
		if got := degradedBy(r); len(got) != 0 {
			t.Errorf("after more than a minute, degraded are %q", got)
		}
		_ = r.place(app, e)
		if got := degradedBy(r); !slices.Equal(got, []string{"app since 0s"}) {
			t.Errorf("degraded are %q", got)
		}
		if n := strings.Count(strings.Join(r.saw.seen(), ","), "outbox refused: app full"); n != 4 {
			t.Errorf("%d refusals were counted, want 4", n)
		}
	})
}

// Strangers do not alert the operator. Neither does one device, or an event that another gateway has.
func TestRefusalsThatAreNobodysTroubleAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name     string
		e        outbox.Entry
		err      error
		counted  []string
		degraded bool
	}{
		{"a stranger's", outbox.Entry{Group: "example.org"}, outbox.ErrFull, []string{"outbox refused: app stranger"}, false},
		{
			"of a device that was never delivered to, where the operator chose the service",
			outbox.Entry{},
			outbox.ErrFull,
			[]string{"outbox refused: app full"},
			true,
		},
		{
			"of a device that has too many",
			outbox.Entry{Group: "example.org", Standing: outbox.Proven},
			outbox.ErrDeviceFull,
			[]string{"outbox refused: app device"},
			false,
		},
		{"another gateway's", outbox.Entry{Group: "example.org", Standing: outbox.Proven}, outbox.ErrTaken, nil, false},
		{"by an outbox that is off", outbox.Entry{}, outbox.ErrOff, nil, false},
		{"by a disk", outbox.Entry{Standing: outbox.Proven}, errBroken, nil, false},
		{
			"a proven device's",
			outbox.Entry{Group: "example.org", Standing: outbox.Proven},
			outbox.ErrFull,
			[]string{"outbox refused: app full"},
			true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				app := appFor("app", always(providers.Delivered()))
				r := newRig(t, app).withOutbox()
				r.use(tightBox{r.box, nil, tt.err})
				if err := r.place(app, tt.e); !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if got := r.saw.seen(); !slices.Equal(got, tt.counted) {
					t.Errorf("counted were %q, want %q", got, tt.counted)
				}
				if got := degradedBy(r); len(got) > 0 != tt.degraded {
					t.Errorf("degraded are %q", got)
				}
			})
		})
	}
}

func TestAnAppWhoseRoomIsUsedUpIsDegraded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", always(providers.Delivered())), appFor("other", always(providers.Delivered())))
		r.use(&inspectedBox{memoryBox: r.box, depths: []outbox.Depth{{App: "app", Entries: 9, Full: true}, {App: "other", Entries: 9}}})
		if got := degradedBy(r); !slices.Equal(got, []string{"app since unknown"}) {
			t.Errorf("degraded are %q", got)
		}
		if s := r.Status(t.Context()); !s[0].Outbox.Full || s[1].Outbox.Full {
			t.Errorf("full are %+v and %+v", s[0].Outbox, s[1].Outbox)
		}
	})
}
