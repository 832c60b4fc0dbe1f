package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// shower is a provider that shows what it would send. It sends at most 8 bytes of an event's content.
type shower struct {
	*scripted
	preview func(p *providers.Push) providers.Preview
}

func (s *shower) Preview(p *providers.Push) providers.Preview { return s.preview(p) }

func (s *shower) Reduce(n *providers.Notification) *providers.Notification {
	if len(n.Content) <= 8 {
		return n
	}
	reduced := *n
	reduced.Content, reduced.Body = n.Content[:8], nil
	return &reduced
}

// showing returns a provider that shows a content as the body.
func showing() *shower {
	return &shower{always(providers.Delivered()), func(p *providers.Push) providers.Preview {
		content := p.Notification.Content
		return providers.Preview{Requests: []providers.Request{{
			Method: "POST", URL: "https://lamps.example.org/" + providers.Masked, Header: http.Header{"Apns-Topic": {"a", "b"}},
			Body: content[:min(len(content), 8)], Whole: content,
		}}}
	}}
}

func TestAPreviewShowsWhatTheProviderWouldSend(t *testing.T) {
	t.Parallel()
	provider := showing()
	app := appFor("app", provider)
	app.Content = providers.ContentFull
	r := newRig(t, app)
	got := r.preview(`{"notification":{"event_id":"$e","content":{"body":"long"},"sender":null,"devices":[` + device("a") + `]}}`)
	if len(got.Requests) != 1 || got.Result != "sent" || got.Outcome != "" || got.Content != "full" || len(got.Withheld) != 0 || got.OnRecord {
		t.Fatalf("got %+v", got)
	}
	shown := got.Requests[0]
	if shown.Body != `{"body":` || shown.Size != 8 || shown.WholeSize != len(`{"body":"long"}`) || shown.Headers["apns-topic"] != "a, b" {
		t.Errorf("shown is %+v", shown)
	}
	if len(provider.asked()) > 0 || r.Shared.isProven(rejected.KeyOf("app", "a")) {
		t.Error("a push was sent, or counts as delivered")
	}
}

func TestAPreviewNamesWhatTheOptionsWithhold(t *testing.T) {
	t.Parallel()
	const posted = `{"notification":{"event_id":"$e","room_id":"!r","type":"m.room.message","sender":null,"org.example":1,"prio":"low",` +
		`"counts":{"unread":1},"ciphertext":"c","devices":[{"app_id":"app","pushkey":"a","data":{"disable_badge_count":true}}]}}`
	for content, want := range map[providers.Content][]string{
		providers.ContentFull: {"counts"},
		providers.ContentIDs:  {"counts", "org.example", "type"},
	} {
		app := appFor("app", showing())
		app.Content = content
		if got := newRig(t, app).preview(posted); !slices.Equal(got.Withheld, want) {
			t.Errorf("with content %d, withheld are %q, want %q", content, got.Withheld, want)
		}
	}
}

// The preview's list of what is not withheld is that of [providers.Notification.Reduced].
func TestAPreviewWithholdsWhatReducedLeavesOut(t *testing.T) {
	t.Parallel()
	reduced := func(members string) string {
		n := mustDecode(t, `{"notification":{`+members+oneDevice+`}}`).Notification.Reduced()
		n.Badge = false // this depends on which other members there are
		return string(n.Kept())
	}
	for field := range reflect.TypeFor[wireNotification]().Fields() {
		name := field.Tag.Get("json")
		value, special := map[string]string{
			"prio": `"low"`, "user_is_target": "true", "content": `{"body":"b"}`, "counts": `{"unread":1}`,
		}[name]
		if !special {
			value = `"$x"`
		}
		if name == "devices" {
			continue
		}
		leaves := reduced(fmt.Sprintf("%q:%s,", name, value)) != reduced("")
		if listed := slices.Contains(idMembers, name); listed != leaves {
			t.Errorf("%s leaves: %v, and it is in the list: %v", name, leaves, listed)
		}
	}
}

func TestAPreviewSaysWhyNothingIsSent(t *testing.T) {
	t.Parallel()
	alert := event("$e", device("a"))
	for name, test := range map[string]struct {
		provider providers.Provider
		badges   providers.Badges
		posted   string
		want     Preview
	}{
		"the gateway drops badge updates": {
			showing(), providers.BadgesOff, badge(device("a")), Preview{Outcome: "dropped", Reason: "no_badges", Result: "dropped"},
		},
		"the device is unusable": {
			&finicky{shower: showing()}, providers.BadgesOn, alert, Preview{Outcome: "rejected", Reason: "bad_pushkey", Result: "rejected"},
		},
		"the provider drops it": {
			answering(providers.Dropped("nothing_to_do", errors.New("no event"))), providers.BadgesOn, alert,
			Preview{Outcome: "dropped", Reason: "nothing_to_do", Detail: "no event", Result: "dropped"},
		},
		"the provider is not ready": {
			answering(providers.Busy("starting", nil)), providers.BadgesOn, alert,
			Preview{Outcome: "retry", Reason: "starting", Result: "unavailable"},
		},
		"the provider panics": {
			&shower{nil, func(*providers.Push) providers.Preview { panic("secret") }}, providers.BadgesOn, alert,
			Preview{Outcome: "retry", Reason: "panic", Detail: "the provider panicked with a string", Result: "unavailable"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := appFor("app", test.provider)
			app.Badges = test.badges
			got := newRig(t, app).preview(test.posted)
			if len(got.Requests) != 0 || got.Outcome != test.want.Outcome || got.Reason != test.want.Reason || got.Result != test.want.Result ||
				!strings.Contains(got.Detail, test.want.Detail) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAPreviewOfADeadPushkeySaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", showing()))
	verdict := rejected.Verdict{App: "app", Reason: "gone", PushkeyTS: 1_000_000, At: time.Now()}
	if err := r.store.Reject(t.Context(), rejected.KeyOf("app", "a"), verdict); err != nil {
		t.Fatal(err)
	}
	if got := r.preview(event("$e", device("a"))); !got.OnRecord || len(got.Requests) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestAPreviewNeedsAnAppAndAProviderThatShowsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", always(providers.Delivered())))
	for appID, want := range map[string]error{"app": ErrNoPreview, "another": ErrUnknownApp} {
		request, refused := Decode([]byte(event("$e", deviceOf(appID, "a", 0))), 1)
		if refused != nil {
			t.Fatal(refused)
		}
		if _, err := r.Preview(t.Context(), request, Address{}); !errors.Is(err, want) {
			t.Errorf("for %s, the error is %v", appID, err)
		}
	}
}

func TestWhatABodyLacksIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		whole, body        string
		omitted, shortened []string
	}{
		"nothing":                   {`{"a":{"b":[1,"x"]}}`, `{ "a": {"b": [1, "x"]}}`, nil, nil},
		"members":                   {`{"b":1,"a":{"c":1,"d":2}}`, `{"a":{"d":2}}`, []string{"a.c", "b"}, nil},
		"the end of a text":         {`{"a":{"b":"long"}}`, `{"a":{"b":"l…"}}`, nil, []string{"a.b"}},
		"a text in a list":          {`{"a":["long",1]}`, `{"a":["l",1]}`, nil, []string{"a[0]"}},
		"a part of a list":          {`{"a":[1,2]}`, `{"a":[1]}`, nil, []string{"a"}},
		"an object that is a text":  {`{"a":{"b":1}}`, `{"a":"[]"}`, nil, []string{"a"}},
		"more than before":          {`{"a":1}`, `{"a":1,"b":2}`, nil, nil},
		"what is not JSON":          {`a=1&b=2`, `a=1`, nil, nil},
		"no whole":                  {``, `{"a":1}`, nil, nil},
		"a whole that is not known": {`{"a":1}`, `a=1`, nil, nil},
	} {
		omitted, shortened := lost([]byte(test.whole), []byte(test.body))
		if !slices.Equal(omitted, test.omitted) || !slices.Equal(shortened, test.shortened) {
			t.Errorf("%s: omitted are %q, and shortened %q", name, omitted, shortened)
		}
	}
}

// finicky finds every device unusable.
type finicky struct{ *shower }

func (*finicky) Usable(*providers.Device, providers.Site) error {
	return &providers.UnusableError{Reason: "bad_pushkey", Err: errors.New("the pushkey is bad")}
}

// answering returns a provider that sends nothing.
func answering(o providers.Outcome) *shower {
	return &shower{always(o), func(*providers.Push) providers.Preview { return providers.Previewed(o) }}
}

// preview returns the preview of a request.
func (r *rig) preview(posted string) Preview {
	r.t.Helper()
	request, refused := Decode([]byte(posted), 1)
	if refused != nil {
		r.t.Fatal(refused)
	}
	got, err := r.Preview(context.Background(), request, Address{})
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}
