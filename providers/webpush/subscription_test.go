package webpush

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestABrokenSubscriptionIsRefusedByTheMembersName(t *testing.T) {
	t.Parallel()
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	key, auth, endpoint := sub.P256dh, fmt.Sprintf(`"auth": %q`, sub.Auth), `"endpoint": "https://push.example/secret"`
	tests := []struct{ name, pushkey, data, member string }{
		{"no data", key, ``, "endpoint"},
		{"data that is not an object", key, `["secret"]`, "data"},
		{"no endpoint", key, `{` + auth + `}`, "endpoint"},
		{"an endpoint of null", key, `{"endpoint": null, ` + auth + `}`, "endpoint"},
		{"an endpoint that is not a string", key, `{"endpoint": ["secret"], ` + auth + `}`, "endpoint"},
		{"an endpoint in plain HTTP", key, `{"endpoint": "http://push.example/secret", ` + auth + `}`, "endpoint"},
		{"an endpoint with a user", key, `{"endpoint": "https://secret@push.example/", ` + auth + `}`, "endpoint"},
		{"no auth", key, `{` + endpoint + `}`, "auth"},
		{"an auth that is not a string", key, `{` + endpoint + `, "auth": {"secret": 1}}`, "auth"},
		{"an auth that is too short", key, `{` + endpoint + `, "auth": "AAAA"}`, "auth"},
		{"no key", "", `{` + endpoint + `, ` + auth + `}`, "p256dh"},
		{"a key that is not a key", "secret", `{` + endpoint + `, ` + auth + `}`, "p256dh"},
		{"a PushSubscription that is cut off", `{"endpoint": "https://push.example/secret`, ``, "pushkey"},
		{"a PushSubscription of nothing", `{}`, ``, "endpoint"},
		{"a PushSubscription without keys", `{` + endpoint + `}`, ``, "p256dh"},
		{"a PushSubscription without auth", `{` + endpoint + `, "keys": {"p256dh": "` + key + `"}}`, ``, "auth"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parsePusher(&providers.Device{Pushkey: test.pushkey, Data: json.RawMessage(test.data)})
			if err == nil || !strings.Contains(err.Error(), test.member) || strings.Contains(err.Error(), "secret") ||
				strings.Contains(err.Error(), sub.Auth) {
				t.Errorf("got %v, want %s", err, test.member)
			}
		})
	}
}

func TestASubscriptionIsToldApartByItsEndpointHoweverItIsSpelled(t *testing.T) {
	t.Parallel()
	p := new(Provider)
	target := func(pushkey, data string) string {
		return p.Target(&providers.Device{AppID: "app", Pushkey: pushkey, Data: json.RawMessage(data)})
	}
	const good = `{"endpoint": "https://push.example/up/a?b=c", "auth": "x"}`
	for _, same := range []string{
		good,
		`{"auth": "another", "default_payload": {"endpoint": "https://evil.example/"}, "endpoint": "https://push.example/up/a?b=c"}`,
		`{"endpoint": "HTTPS://PUSH.example:443/up/a?b=c#fragment"}`, `{"endpoint": "https://push.example.:0443/up/a?b=c"}`,
		`{"endpoint": "https://ｐush.example/up/a?b=c"}`, `{"endpoint": "https://evil.example/", "endpoint": "https://push.example/up/a?b=c"}`,
		`{"\u0065ndpoint": "https:\/\/push.example/up/a?b=c"}`,
	} {
		if got := target("key", same); got != "push.example:443/up/a?b=c" {
			t.Errorf("%s: %q", same, got)
		}
	}
	for _, other := range []string{
		`{"endpoint": "https://push.example:8443/up/a?b=c"}`, `{"endpoint": "https://push.example/up/A?b=c"}`, `{"endpoint": "https://push.example/up/a"}`,
		`{"endpoint": "https://push.example/up/a?b=d"}`, `{"endpoint": "https://other.example/up/a?b=c"}`,
	} {
		if got := target("key", other); got == "" || got == target("key", good) {
			t.Errorf("%s: %q", other, got)
		}
	}
	if root := `{"endpoint": "https://push.example"}`; target("key", root) != target("key", `{"endpoint": "https://push.example/"}`) {
		t.Errorf("%q", target("key", root))
	}
	for _, none := range []string{``, `{}`, `[]`, `{`, `{"endpoint": null}`, `{"endpoint": ["https://a.example/"]}`, `{"endpoint": "http://push.example/"}`} {
		if got := target("key", none); got != "" {
			t.Errorf("%s: %q", none, got)
		}
	}
	whole := `{"endpoint": "https://push.example/up/a", "keys": {"p256dh": "x", "auth": "y"}}`
	if got := target(whole, `{"endpoint": "https://evil.example/410"}`); got != "" {
		t.Errorf("a whole subscription goes by %q", got)
	}
}

func TestOnlyTrueTurnsAnOptionOn(t *testing.T) {
	t.Parallel()
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	for value, on := range map[string]bool{"true": true, "false": false, `"true"`: false, "1": false, "null": false} {
		data := fmt.Appendf(nil, `{"endpoint": "https://push.example/", "auth": %q, "events_only": %s, "only_last_per_room": %s,
			"default_payload": %s}`, sub.Auth, value, value, value)
		p, err := parsePusher(&providers.Device{Pushkey: sub.P256dh, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if p.eventsOnly != on || p.onlyLastPerRoom != on || len(p.defaults) != 0 || p.wrongDefaults != (value != "null") {
			t.Errorf("%s: got %+v", value, p)
		}
	}
}

func TestARememberedDefaultPayloadTakesNoMoreRoomThanItsMembers(t *testing.T) {
	t.Parallel()
	for value, members := range map[string]int{
		`{"a": 1, "event_id": "$x", "room_id": "!x", "b": 2}`: 2, `{` + strings.Repeat(`"": 1, `, 100) + `"": 2}`: 1,
		`{}`: 0, `["a"]`: 0, `null`: 0,
	} {
		if got := defaultsIn(json.RawMessage(value)); len(got) != members || cap(got) > members+2 {
			t.Errorf("%.20s: got %d members, and room for %d", value, len(got), cap(got))
		}
	}
}

func FuzzSubscription(f *testing.F) {
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).SubscribeDemo("fuzz")
	keys := fmt.Sprintf(`"p256dh": %q, "auth": %q`, sub.P256dh, sub.Auth)
	f.Add(sub.P256dh, fmt.Sprintf(`{"endpoint": "https://push.example/a", "auth": %q, "default_payload": {"a": 1}}`, sub.Auth))
	f.Add(`{"endpoint": "https://push.example/a", "keys": {`+keys+`}}`, `{"events_only": true}`)
	for _, request := range corpus.Requests() {
		f.Add(sub.P256dh, string(request.Device().Data))
	}
	f.Add("", "")
	f.Add("{", "[]")
	f.Add(" {}", "null")
	f.Fuzz(func(t *testing.T, pushkey, data string) {
		d := &providers.Device{Pushkey: pushkey, Data: json.RawMessage(data)}
		p, err := parsePusher(d)
		if (p == nil) == (err == nil) {
			t.Fatalf("got %v and %v", p, err)
		}
		if err == nil && (p.endpoint.Scheme != "https" || p.endpoint.Hostname() == "" || p.endpoint.User != nil) {
			t.Errorf("the endpoint is %s", p.endpoint)
		}
		if host := new(Provider).Host(d); err == nil && host != endpoint.Host(p.endpoint.String()) {
			t.Errorf("the host of %s is %s", p.endpoint, host)
		}
	})
}

// Guards against review 2.8: the first device lost its pusher, and the second device's pushes were sent elsewhere.
func TestAMemberInOtherCapitalsIsNotTheSubscriptions(t *testing.T) {
	t.Parallel()
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	for _, added := range []string{`, "AUTH": 1`, `, "Endpoint": "https://other.example/"`, `, "Events_Only": true, "DEFAULT_PAYLOAD": 1`} {
		d := &providers.Device{
			Pushkey: sub.P256dh, Data: fmt.Appendf(nil, `{"endpoint": "https://push.example/a", "auth": %q%s}`, sub.Auth, added),
		}
		if err := new(Provider).Usable(d, providers.Site{}); err != nil {
			t.Errorf("with %s: %v", added, err)
		}
		p, err := parsePusher(d)
		if err != nil || p.endpoint.String() != "https://push.example/a" || p.eventsOnly || len(p.defaults) != 0 || p.wrongDefaults {
			t.Errorf("with %s: got %+v (%v)", added, p, err)
		}
		if host := new(Provider).Host(d); host != "push.example:443" {
			t.Errorf("with %s: the host is %s", added, host)
		}
	}
}
