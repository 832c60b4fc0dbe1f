package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// foreseeable finds devices unusable whose pushkey begins with "bad".
type foreseeable struct{ *scripted }

func (foreseeable) Usable(d *providers.Device, _ providers.Site) error {
	if strings.HasPrefix(d.Pushkey, "bad") {
		return &providers.UnusableError{Reason: "bad_token", Err: errors.New("it is not a token")}
	}
	return nil
}

func (foreseeable) Explain(reason string) string {
	return map[string]string{"bad_token": "it is not a token"}[reason]
}

// P7: explain said "not on record as dead" about devices that every answer rejects.
func TestAnExplanationForeseesHowTheNextNotificationIsAnswered(t *testing.T) {
	t.Parallel()
	doubtful := providers.Rejected("bad_device_token")
	doubtful.Doubtful = true
	manyUnknown := func(r *rig) {
		for i := range 40 {
			r.notify(event(fmt.Sprintf("$%d", i), deviceOf("nobody", fmt.Sprint("k", i), 1)))
		}
	}
	for _, tt := range []struct {
		name     string
		outcome  providers.Outcome
		unproven bool
		sites    []Site
		before   func(*rig)
		appID    string
		pushkey  string
		byHash   bool

		unusable, detail, held, note string
	}{
		{name: "a device that can be delivered to", outcome: providers.Delivered(), appID: "app", pushkey: "good"},
		{name: "no app", appID: "ap", pushkey: "good", unusable: "unknown_app", detail: `no app serves "ap": did you mean "app"?`},
		{
			name: "no app, while the fuse holds", before: manyUnknown, appID: "nobody", pushkey: "good",
			unusable: "unknown_app", detail: "no app serves", held: HeldByFuse,
		},
		{name: "unusable", appID: "app", pushkey: "bad", unusable: "bad_token", detail: "it is not a token"},
		{
			name: "unusable in the last attempt, known by its hash", before: func(r *rig) { r.notify(event("$1", device("bad"))) },
			appID: "app", pushkey: "bad", byHash: true, unusable: "bad_token", detail: "it is not a token",
		},
		{
			name: "served by no site", sites: []Site{siteFor("a.example", "443", "other")}, appID: "app", pushkey: "good",
			unusable: "unknown_app", detail: "no site serves the app",
		},
		{
			name: "served by one site", sites: []Site{siteFor("a.example", "443", "other"), siteFor("b.example", "443")}, appID: "app", pushkey: "good",
			note: "these sites serve the app: b.example; these reject its devices: a.example",
		},
		{
			name: "doubted", outcome: doubtful, unproven: true, before: func(r *rig) { r.notify(event("$1", device("good"))) },
			appID: "app", pushkey: "good", held: HeldByDoubt,
		},
		{
			name: "held by the fuse", outcome: providers.Rejected("gone"), before: func(r *rig) {
				for i := range 40 {
					r.notify(event(fmt.Sprintf("$%d", i), device(fmt.Sprint("k", i))))
				}
				r.notify(event("$good", device("good")))
			}, appID: "app", pushkey: "good", held: HeldByFuse,
		},
		{
			name: "of an app that is no longer configured, known by its hash", before: func(r *rig) {
				_ = r.store.Reject(t.Context(), rejected.KeyOf("gone", "good"), rejected.Verdict{App: "gone", Reason: "unregistered", At: time.Unix(1, 0)})
			}, appID: "gone", pushkey: "good", byHash: true, unusable: "unknown_app", detail: `no app serves "gone"`,
		},
		{
			name: "of a pattern that is no longer configured, known by its hash", before: func(r *rig) {
				_ = r.store.Reject(t.Context(), rejected.KeyOf("gone1", "good"), rejected.Verdict{App: "gone*", Reason: "unregistered", At: time.Unix(1, 0)})
			}, appID: "gone1", pushkey: "good", byHash: true, note: "the app gone* is no longer configured",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := appFor("app", foreseeable{always(tt.outcome)})
			app.proven.Store(!tt.unproven)
			r := newRig(t, app)
			r.Fuse = FuseOptions{Share: 0.5, Window: time.Hour}
			r.Sites = tt.sites
			if tt.before != nil {
				tt.before(r)
			}
			known := Described{AppID: tt.appID, Device: &providers.Device{AppID: tt.appID, Pushkey: tt.pushkey}}
			if tt.byHash {
				known = Described{}
			}
			e, err := r.Explain(t.Context(), rejected.KeyOf(tt.appID, tt.pushkey), known)
			if err != nil || e.Held != tt.held || !strings.Contains(e.Note, tt.note) || (tt.note == "") != (e.Note == "") {
				t.Errorf("explained as %+v: %v", e, err)
			}
			if tt.unusable == "" {
				if e.Unusable != nil {
					t.Errorf("unusable as %+v", *e.Unusable)
				}
			} else if u := e.Unusable; u == nil || u.Reason != tt.unusable || !strings.Contains(u.Detail, tt.detail) || u.Explanation == "" {
				t.Errorf("unusable as %+v", u)
			}
		})
	}
}
