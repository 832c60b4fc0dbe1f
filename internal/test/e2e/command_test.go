package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// The command, run as an operator does, from the same binary as the process that it asks.

func TestTheCommandTellsHowTheGatewayIs(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(durable), "matrix_push")
	if r := gateway.homeserver().notify(alert("$1", upDevice(service.Endpoint("phone")))); r.Status != http.StatusOK {
		t.Fatalf("answered %d %s", r.Status, r.Body)
	}
	r := gateway.ask("", "status", "--config", filepath.Join(gateway.dir, "Caddyfile"))
	r.want(t, 0, "The gateway is ready.", "Store of rejected pushkeys: file (0 records). Outbox: file.", "org.example.up", "unifiedpush", "ago)")
	t.Log("\n" + r.out)
	_, answer := gateway.adminDo(http.MethodGet, "/matrix_push/apps", "")
	if r := gateway.running("", "status", "--json", "--strict"); r.out != answer || r.code != 0 {
		t.Errorf("the JSON is %s, not the API's %s", r.out, answer)
	}
	gateway.running("", "nonsense").wantUsage(t, "unknown command")
	gateway.running("", "outbox", "drop").wantUsage(t, "--app is missing")
	gateway.ask("", "status", "--address", "127.0.0.1:1").want(t, 1, "cannot be reached")

	if err := gateway.load(head + "https://gateway.test:{port} {\n" + certificate + "\nrespond 200\n}\n"); err != nil {
		t.Fatal(err)
	}
	gateway.running("", "status").want(t, 1, "no Matrix push gateway is configured")
	gateway.terminate()
	gateway.running("", "status").want(t, 1, "cannot be reached")
}

func TestTheCommandExplainsListsAndForgetsRejections(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(durable), "matrix_push")
	hs := gateway.homeserver()
	var dead []device
	for _, name := range []string{"one", "two", "three"} {
		d := upDevice(service.Endpoint(name))
		service.Answer("/up/"+name, answerGone)
		wantBody(t, hs.notify(alert("$1", d)), rejecting(d.Pushkey))
		dead = append(dead, d)
	}
	byValue := []string{"--app-id", "org.example.up", "--pushkey", "-"}
	pushkey := dead[0].Pushkey + "\n"
	r := gateway.running(pushkey, append([]string{"rejected", "explain"}, byValue...)...)
	r.want(t, 3, "The pushkey is recorded as dead.", "gone, recorded for the app org.example.up", "Last attempt")
	t.Log("\n" + r.out)
	var list struct {
		Records []struct {
			PushkeyHash string `json:"pushkey_hash"`
		} `json:"records"`
	}
	r = gateway.running("", "rejected", "list", "--json")
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list.Records) != 3 || r.code != 0 {
		t.Fatalf("the list is %+v", r)
	}
	hash := list.Records[0].PushkeyHash
	gateway.running("", "rejected", "list").want(t, 0, "PUSHKEY HASH", hash)
	gateway.running("", "rejected", "list", "--app", "org.example.web").want(t, 0, "No pushkey is recorded")
	gateway.running("", "rejected", "explain", "--hash", hash[:8]).want(t, 3, hash, "gone")
	gateway.running("", "rejected", "explain", "--hash", "00000000").want(t, 1, "nothing is known")
	if !strings.Contains(gateway.log.String(), `"pushkey_hash":"`+hash[:8]+`"`) {
		t.Error("the log does not show the hash")
	}

	gateway.running(pushkey, append([]string{"rejected", "forget"}, byValue...)...).want(t, 0, "Forgot the rejection")
	gateway.running(pushkey, append([]string{"rejected", "forget"}, byValue...)...).want(t, 0, "There is no record")
	gateway.running(pushkey, append([]string{"rejected", "explain"}, byValue...)...).want(t, 0, "not recorded as dead")
	service.Answer("/up/one")
	wantBody(t, hs.notify(alert("$2", dead[0])), nothingRejected)

	gateway.running("", "rejected", "forget", "--app", "org.example.up", "--since", "1h").want(t, 0, "Forgot 2 rejections of org.example.up.")
	gateway.running("", "rejected", "list").want(t, 0, "No pushkey is recorded")
}

// P7: explain said "not on record as dead", with the exit code 0, about devices that every answer rejects.
func TestExplainSaysFirstThatTheNextNotificationIsRejectedThoughNothingIsOnRecord(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t, durable+`
app org.example.up {
	unifiedpush
}
app org.example.web {
	webpush {
		vapid_subject mailto:ops@example.org
	}
}
app org.example.other {
	unifiedpush
}
`, "matrix_push {\n\tapps org.example.up org.example.web\n}")
	hs := gateway.homeserver()
	const up, web = "org.example.up", "org.example.web"
	for _, tt := range []struct {
		name, appID, pushkey string
		data                 map[string]any
		args                 []string
		want                 []string
	}{
		{"an unusable pushkey", up, "http://nope", nil, nil, []string{"The pushkey is unusable: the gateway rejects every notification for it.", "bad_endpoint", "correct the push server's address"}},
		{
			"no app", "org.exmple.up", "https://push.example.org/a", nil, nil,
			[]string{"No app in the configuration matches the app_id", `did you mean "org.example.up"?`},
		},
		{
			"an app that the site does not serve", "org.example.other", "https://push.example.org/a", nil, nil,
			[]string{"No app in the configuration matches the app_id, or no site uses the app.", "no site serves the app"},
		},
		{
			"data without auth", web, "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
			map[string]any{"endpoint": "https://push.example.org/a"},
			[]string{"--data", `{"endpoint":"https://push.example.org/a"}`},
			[]string{"The pushkey is unusable", "bad_subscription"},
		},
	} {
		d := device{AppID: tt.appID, Pushkey: tt.pushkey, PushkeyTS: at(1), Data: tt.data}
		wantBody(t, hs.notify(alert("$"+tt.name, d)), rejecting(tt.pushkey))
		args := append([]string{"rejected", "explain", "--app-id", tt.appID, "--pushkey", "-"}, tt.args...)
		r := gateway.running(tt.pushkey, args...)
		if r.want(t, 3, tt.want...); !strings.HasPrefix(r.out, tt.want[0]) {
			t.Errorf("%s: it begins with\n%s", tt.name, r.out)
		}
	}
	hash := rejected.KeyOf(up, "http://nope").String()
	r := gateway.running("", "rejected", "explain", "--hash", hash[:8])
	if r.want(t, 3, "bad_endpoint"); !strings.HasPrefix(r.out, "The pushkey is unusable") {
		t.Errorf("by its hash, it begins with\n%s", r.out)
	}
}

func TestTheCommandShowsRetriesAndDropsWhatWaits(t *testing.T) {
	t.Parallel()
	u := newUnreliable(t)
	gateway := startGateway(t, durable+u.moreUp("org.example.up", "wait 200ms"), "matrix_push")
	hs := gateway.homeserver()
	up := func(name string) device {
		d := upDevice(u.Endpoint(name))
		d.AppID = "org.example.up"
		return d
	}
	one, two, three := up("one"), up("two"), up("three")
	u.set(behaviour{status: http.StatusServiceUnavailable, retryAfter: "3600"})
	for _, d := range []device{one, two, three} {
		for _, id := range []string{"$1", "$2"} {
			wantBody(t, hs.notify(alert(id+d.Pushkey, d)), nothingRejected)
		}
	}
	gateway.running("", "outbox", "list").want(t, 0, "org.example.up", "6        3")
	r := gateway.running("", "outbox", "list", "--app", "org.example.up", "--json")
	var list struct {
		Entries []struct {
			ID          string `json:"id"`
			PushkeyHash string `json:"pushkey_hash"`
		} `json:"entries"`
	}
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list.Entries) != 6 {
		t.Fatalf("the list is %s%s", r.out, r.err)
	}
	e := list.Entries[0]
	r = gateway.running("", "outbox", "list", "--app", "org.example.up")
	r.want(t, 0, e.ID, e.PushkeyHash, "alert", "(in 60m)")
	t.Log("\n" + r.out)

	gateway.running("", "outbox", "drop", "--app", "org.example.up", "--hash", e.PushkeyHash, "--id", e.ID).want(t, 0, "1 entry dropped")
	gateway.running("", "outbox", "drop", "--app", "org.example.up", "--hash", e.PushkeyHash[:8]).want(t, 0, "1 entry dropped")
	gateway.running("", "outbox", "drop", "--app", "org.example.up", "--hash", e.PushkeyHash[:8]).want(t, 1, "no pending pushes")
	gateway.running("", "outbox", "list").want(t, 0, "4        2")

	u.set(behaviour{})
	for _, other := range list.Entries {
		if other.PushkeyHash != e.PushkeyHash {
			gateway.running("", "outbox", "retry", "--app", "org.example.up", "--hash", other.PushkeyHash).
				want(t, 0, "Retrying the pending pushes of "+other.PushkeyHash+" now.")
			break
		}
	}
	u.await("one device's pushes arrive", func() bool { return u.arrivals(one, two, three) >= 2 })
	gateway.running("", "outbox", "retry", "--app", "org.example.up").want(t, 0, "Retrying the pending pushes of the app org.example.up now.")
	u.await("all that was not dropped arrives", func() bool { return u.arrivals(one, two, three) == 4 })

	u.set(behaviour{status: http.StatusServiceUnavailable, retryAfter: "3600"})
	wantBody(t, hs.notify(alert("$3", one)), nothingRejected)
	gateway.running("", "outbox", "drop", "--app", "org.example.up", "--all").want(t, 0, "1 entry dropped")
	gateway.running("", "outbox", "list").want(t, 0, "There are no pending pushes.")
	gateway.running("", "outbox", "retry", "--app", "org.example.x").want(t, 1, "there is no app")
	// P13: a misspelt app looked like an app without pending pushes or records.
	for _, command := range []string{"outbox list", "outbox drop --all", "rejected list", "rejected forget --since 1h", "fuse reset"} {
		args := append(strings.Fields(command), "--app", "org.exmple.up")
		gateway.running("", args...).want(t, 1, `there is no app "org.exmple.up": did you mean "org.example.up"?`)
	}
}

// arrivals returns how many pushes were taken for devices.
func (u *unreliable) arrivals(devices ...device) (n int) {
	for _, d := range devices {
		n += len(u.Messages(d.Pushkey))
	}
	return n
}

func TestTheCommandSendsATestNotification(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(durable), "matrix_push")
	endpoint, sub := service.Endpoint("phone"), service.Subscribe()
	file := filepath.Join(gateway.dir, "pushkey")
	if err := os.WriteFile(file, []byte(endpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	send := []string{"send", "--app-id", "org.example.up", "--pushkey-file", file}
	gateway.running("", send...).want(t, 0, "The push service accepted the notification", "org.example.up (unifiedpush)")
	if m := service.Messages(endpoint); len(m) != 1 || !strings.Contains(string(m[0].Body), "$THIS_IS_A_FAKE_EVENT_ID") {
		t.Errorf("the arrivals are %v", m)
	}
	data, _ := json.Marshal(map[string]string{"endpoint": sub.Endpoint, "auth": sub.Auth})
	gateway.running(sub.P256dh, "send", "--app-id", "org.example.web", "--pushkey", "-", "--data", string(data), "--body", "Hello there").want(t, 0, "accepted the notification")
	if m := service.Messages(sub.Endpoint); len(m) != 1 || !strings.Contains(string(m[0].Body), "Hello there") || len(m[0].Violations) > 0 {
		t.Errorf("the arrivals are %+v", m)
	}

	service.Answer("/up/phone", answerGone)
	r := gateway.running("", send...)
	r.want(t, 3, "The notification was not delivered", "rejected: gone", "the homeserver would remove the pusher")
	gateway.running("", "rejected", "list").want(t, 0, "No pushkey is recorded")
	service.Answer("/up/phone", providertest.Answer{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"30"}}})
	r = gateway.running("", append(send, "--json")...)
	if r.code != 3 || !strings.Contains(r.out, `"outcome":"retry"`) || !strings.Contains(r.out, `"retry_after":30`) {
		t.Errorf("ends with %d: %s%s", r.code, r.out, r.err)
	}
	gateway.running("", "outbox", "list").want(t, 0, "There are no pending pushes.")
	gateway.running(endpoint, "send", "--app-id", "com.example", "--pushkey", "-").want(t, 1, `no app serves "com.example"`)
}

func TestTheCommandResetsAFuse(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\nfuse 50% 10m"), "matrix_push")
	hs := gateway.homeserver()
	for i := range 20 {
		name := string(rune('a' + i))
		d := upDevice(service.Endpoint(name))
		wantBody(t, hs.notify(alert("$0", d)), nothingRejected)
		service.Answer("/up/"+name, answerGone)
		hs.notify(alert("$1", d))
	}
	gateway.running("", "status").want(t, 0, "too many pushkeys were rejected", "tripped for 1 host (20 of 20 dead)", "degraded")
	gateway.running("", "status", "--strict").want(t, 3)
	gateway.running("", "fuse", "reset", "--app", "org.example.up").want(t, 0, "The fuse is reset")
	gateway.running("", "status", "--strict").want(t, 0, "The gateway is ready.")
	gateway.running("", "fuse", "reset", "--unknown-apps").want(t, 0, "was not tripped")
	gateway.running("", "fuse", "reset", "--app", "org.example.x").want(t, 1, "there is no app")
}
