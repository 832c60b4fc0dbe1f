package unifiedpush

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// fluffyChat is what FluffyChat registers for the account of that client name (setupPusher in
// https://github.com/krille-chan/fluffychat/blob/main/lib/utils/background_push.dart): all accounts with the same pushkey.
func fluffyChat(clientName string) providers.Device {
	return providers.Device{AppID: "chat.fluffy.fluffychat.GHTYAJCE", Data: fmt.Appendf(nil, `{"format": "event_id_only",
		"url": "https://push.example.org/_matrix/push/v1/notify", "client_name": %q, "data_message": "android"}`, clientName)}
}

// sable is what Sable's Tauri app registers without keys.
func sable(userID string) providers.Device {
	return providers.Device{AppID: "moe.sable.app", Data: fmt.Appendf(nil, `{"url": "https://push.example.org/_matrix/push/v1/notify",
		"default_payload": {"user_id": %q}}`, userID)}
}

// elementX is what Element X registers: each account has its own pushkey.
var elementX = providers.Device{AppID: "io.element.android.x", Data: json.RawMessage(`{"format": "event_id_only",
	"url": "https://push.example.org/_matrix/push/v1/notify", "default_payload": {"cs": "AgEABcd"}}`)}

// reader shows how a client reads a message.
type reader struct {
	// account returns the account to which the client assigns the message, given its accounts in order and whose endpoint received it.
	account func(t *testing.T, message []byte, accounts []string, endpoint int) string
	device  func(account string) providers.Device
	// shared is set if all accounts have one endpoint.
	shared bool
}

var readers = map[string]reader{
	// _onUpMessage in background_push.dart and clientName in push_helper.dart; its types are those of PushNotification.fromJson in
	// https://github.com/famedly/matrix-dart-sdk/blob/main/lib/src/utils/push_notification.dart: one that is another makes it throw.
	"fluffychat": {shared: true, device: fluffyChat, account: func(t *testing.T, message []byte, accounts []string, _ int) string {
		t.Helper()
		var read struct {
			Notification struct {
				EventID *string         `json:"event_id"`
				RoomID  *string         `json:"room_id"`
				Prio    *string         `json:"prio"`
				Counts  *map[string]int `json:"counts"`
				Devices []struct {
					AppID     *string `json:"app_id"`
					Pushkey   *string `json:"pushkey"`
					PushkeyTS *int    `json:"pushkey_ts"`
					Data      *struct {
						Format     *string `json:"format"`
						ClientName *string `json:"client_name"`
					} `json:"data"`
					Tweaks *map[string]any `json:"tweaks"`
				} `json:"devices"`
			} `json:"notification"`
		}
		mustRead(t, message, &read)
		devices := read.Notification.Devices
		if len(devices) == 0 || devices[0].Data == nil || devices[0].Data.ClientName == nil {
			return accounts[0]
		}
		return *devices[0].Data.ClientName
	}},
	// UnifiedPushMessageListener.ts
	"sable": {shared: true, device: sable, account: func(t *testing.T, message []byte, accounts []string, _ int) string {
		t.Helper()
		var read struct {
			Notification struct {
				Devices []struct {
					Data struct {
						DefaultPayload struct {
							UserID *string `json:"user_id"`
						} `json:"default_payload"`
					} `json:"data"`
				} `json:"devices"`
			} `json:"notification"`
		}
		mustRead(t, message, &read)
		for _, device := range read.Notification.Devices {
			if user := device.Data.DefaultPayload.UserID; user != nil {
				return *user
			}
		}
		return accounts[0]
	}},
	// PushDataUnifiedPush in https://github.com/element-hq/element-x-android: the account is that of the connector's instance, and so of the
	// endpoint.
	"elementx": {
		device: func(string) providers.Device { return elementX },
		account: func(t *testing.T, message []byte, accounts []string, endpoint int) string {
			t.Helper()
			var read struct {
				Notification *struct {
					EventID, RoomID *string
					Counts          *struct{ Unread *int }
					Prio            *string
				}
			}
			mustRead(t, message, &read)
			return accounts[endpoint]
		},
	},
}

func mustRead(t *testing.T, message []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(message, into); err != nil {
		t.Fatalf("%v: %s", err, message)
	}
}

// Guards against the fault that made multi-account setups worse than with ntfy's own gateway (fluffychat#3389): every push woke the first
// account.
func TestAClientFindsTheAccountThatAMessageIsFor(t *testing.T) {
	t.Parallel()
	accounts := []string{"@one:example.org", "@two:example.org"}
	for client, reader := range readers {
		for form, n := range map[string]*providers.Notification{
			"clear": alert().Reduced(), "full": alert(), "encrypted": alert(), "encrypted_ids": alert().Reduced(), "badge": badge().Reduced(),
		} {
			t.Run(client+" "+form, func(t *testing.T) {
				t.Parallel()
				service, p := bench(t)
				for i, account := range accounts {
					d, topic := reader.device(account), "shared"
					if !reader.shared {
						topic = fmt.Sprint("of-account-", i)
					}
					d.Pushkey = service.Endpoint(topic)
					d.PushkeyTS, d.Tweaks = 1_700_000_000_000, json.RawMessage(`{"sound": "default", "highlight": true}`)
					var keys providertest.Subscription
					if strings.HasPrefix(form, "encrypted") {
						keys = service.SubscribeFor(p.sender.PublicKey())
						d.Pushkey = keys.Endpoint
						d.Data = fmt.Appendf(nil, `%s, "p256dh": %q, "auth": %q}`, strings.TrimSuffix(string(d.Data), "}"), keys.P256dh, keys.Auth)
					}
					want(t, p.Push(t.Context(), pushOf(n, d)), providers.KindDelivered, "delivered")
					messages := service.Messages(d.Pushkey)
					message := messages[len(messages)-1].Body
					if got := reader.account(t, message, accounts, i); got != account {
						t.Errorf("the message for %s is taken for one for %s: %s", account, got, message)
					}
					wantNothingOf(t, message, d.Pushkey, keys.Auth, keys.P256dh, accounts[1-i], "/_matrix/push/v1/notify")
					if form == "clear" || form == "badge" {
						wantNothingOf(t, message, "AgEABcd", `"android"`, "event_id_only", "sound")
					}
					golden(t, filepath.Join("clients", fmt.Sprintf("%s_%s_%d", client, form, i+1)), message)
				}
			})
		}
	}
}

// wantNothingOf checks that a message contains none of the texts.
func wantNothingOf(t *testing.T, message []byte, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if text != "" && strings.Contains(string(message), text) {
			t.Errorf("%q is in %s", text, message)
		}
	}
}

func TestWhatLeavesOfADevicesData(t *testing.T) {
	t.Parallel()
	const fluffy = `[{"app_id":"a","data":{"client_name":"c"}}]`
	const both = `[{"app_id":"a","data":{"client_name":"c","default_payload":{"user_id":"@u:x"}}}]`
	tests := []struct {
		name, data, brief, whole string
	}{
		{"no data", ``, ``, ``},
		{"nothing that tells an account", `{"format":"event_id_only"}`, ``, `[{"app_id":"a","data":{"format":"event_id_only"}}]`},
		{"only the gateway's url", `{"url":"https://push.example.org"}`, ``, ``},
		{"a client_name", `{"client_name":"c"}`, fluffy, fluffy},
		{"a client_name in escapes", `{"client\u005fname":"c"}`, fluffy, fluffy},
		{"an empty client_name", `{"client_name":""}`, ``, `[{"app_id":"a","data":{"client_name":""}}]`},
		{"a client_name that is not a string", `{"client_name":{"a":1}}`, ``, `[{"app_id":"a","data":{"client_name":{"a":1}}}]`},
		{"one in other capitals", `{"Client_Name":"c"}`, ``, `[{"app_id":"a","data":{"Client_Name":"c"}}]`},
		{
			"both, and more", `{"client_name":"c","default_payload":{"user_id":"@u:x","cs":"s"},"x":1}`, both,
			`[{"app_id":"a","data":{"client_name":"c","default_payload":{"user_id":"@u:x","cs":"s"},"x":1}}]`,
		},
		{
			"a user_id elsewhere", `{"user_id":"@u:x","default_payload":{"cs":"s"}}`, ``,
			`[{"app_id":"a","data":{"default_payload":{"cs":"s"},"user_id":"@u:x"}}]`,
		},
		{
			"a default_payload that is not an object", `{"client_name":"c","default_payload":"user_id"}`, fluffy,
			`[{"app_id":"a","data":{"client_name":"c","default_payload":"user_id"}}]`,
		},
		{"keys", `{"client_name":"c","p256dh":"secret","auth":"secret","endpoint":"secret"}`, fluffy, fluffy},
		{"keys in other capitals", `{"client_name":"c","P256DH":"secret","Auth":"secret","\u212aeys":{"auth":"secret"}}`, fluffy, fluffy},
		{"keys below keys", `{"client_name":"c","keys":{"p256dh":"secret","auth":"secret"}}`, fluffy, fluffy},
		{"a whole subscription", `{"client_name":"c","subscription":[{"endpoint":"secret","keys":{"auth":"secret"}}]}`, fluffy, fluffy},
		{"one in the default_payload", `{"client_name":"c","default_payload":{"user_id":"@u:x","s":{"auth":"secret"}}}`, both, both},
		{"the pushkey", `{"client_name":"c","pushkey":"secret","PUSHKEY":"secret"}`, fluffy, fluffy},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &providers.Device{AppID: "a", Pushkey: "https://push.example/secret", Data: json.RawMessage(test.data)}
			richest := func(all bool) string {
				for list := range devicesOf(d, all) {
					return string(list)
				}
				return ""
			}
			if got := richest(false); got != test.brief {
				t.Errorf("with ids only, it is %s, want %s", got, test.brief)
			}
			if got := richest(true); got != test.whole {
				t.Errorf("with everything, it is %s, want %s", got, test.whole)
			}
		})
	}
}

// FluffyChat's parser throws on a sound that is not a string.
func TestTweaksThatNoClientReadsAreLeftOut(t *testing.T) {
	t.Parallel()
	for tweaks, want := range map[string]string{
		``: ``, `{}`: ``, `null`: ``, `[1]`: ``, `{"sound": 1}`: ``,
		`{"highlight": true}`: `,"tweaks":{"highlight":true}`,
	} {
		d := &providers.Device{AppID: "a", PushkeyTS: 7999, Data: json.RawMessage(`{"x":1}`), Tweaks: json.RawMessage(tweaks)}
		lists := slices.Collect(devicesOf(d, true))
		if len(lists) != 1 || string(lists[0]) != `[{"app_id":"a","pushkey_ts":7,"data":{"x":1}`+want+`}]` {
			t.Errorf("with %s, they are %s", tweaks, lists)
		}
		d.Data = json.RawMessage(`{"url":"https://push.example.org"}`)
		if lists := slices.Collect(devicesOf(d, true)); len(lists) != 0 {
			t.Errorf("without data, they are %s", lists)
		}
	}
}

func TestADeviceIsTheFirstThatAMessageDoesWithout(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	tests := []struct {
		name, data    string
		body          int // bytes
		client, extra bool
	}{
		{"all of it fits", `{"client_name": "c", "x": "extra"}`, 100, true, true},
		{"some of it fits", `{"client_name": "c", "x": "extra` + strings.Repeat("x", 4000) + `"}`, 100, true, false},
		{"it does not fit beside the content", `{"client_name": "c", "x": "extra"}`, 3700, false, false},
		{"a name that does not fit", `{"client_name": "c` + strings.Repeat("x", 4000) + `"}`, 100, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			endpoint := service.Endpoint("of" + strings.ReplaceAll(test.name, " ", ""))
			n, d := long(test.body), providers.Device{AppID: "a", Pushkey: endpoint, Data: json.RawMessage(test.data)}
			want(t, p.Push(t.Context(), pushOf(n, d)), providers.KindDelivered, "delivered")
			m := only(t, service, endpoint)
			wantIDs(t, m.Body)
			text := string(m.Body)
			if strings.Contains(text, "client_name") != test.client || strings.Contains(text, "extra") != test.extra {
				t.Errorf("the message is %s", text)
			}
			if len(m.Body) > 4096 || !strings.Contains(text, strings.Repeat("x", test.body)) {
				t.Errorf("the content is missing: %s", text)
			}
		})
	}
}

func TestTheSmallestMessageHasNoDevice(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	endpoint := service.Endpoint("topic")
	d := fluffyChat("@alice:example.org")
	d.Pushkey = endpoint
	service.Answer(endpoint, providertest.Answer{Status: 413, Times: 1})
	want(t, p.Push(t.Context(), pushOf(alert(), d)), providers.KindDelivered, "delivered")
	messages := service.Messages(endpoint)
	if len(messages) != 2 || !strings.Contains(string(messages[0].Body), "@alice:example.org") {
		t.Fatalf("the messages are %v", messages)
	}
	golden(t, "reduced", messages[1].Body)
}
