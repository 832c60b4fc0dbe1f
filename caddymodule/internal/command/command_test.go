package command

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	hashA = "ab12cd34ef56ab12cd34ef56ab12cd34"
	hashB = "ab99cd34ef56ab12cd34ef56ab12cd34"
)

const healthy = `{"status":"ready","degraded":[],"rejected":"file","outbox":"file","rejected_records":12,"apps":[` +
	`{"app":"*","provider":"unifiedpush","open_hosts":2,"in_flight":0,"fuse":{"app":"*","dead":0,"pushkeys":9},"outbox":{"entries":0,"devices":0},"proven":true,"last_delivered":"2026-03-14T11:59:18Z","troubles":[]},` +
	`{"app":"org.example.ios","provider":"apns","breaker":"closed","in_flight":3,"fuse":{"app":"org.example.ios","dead":1,"pushkeys":40},"outbox":{"entries":4,"devices":2,"oldest":"2026-03-14T11:20:00Z"},"credential_expiry":"2026-05-01T00:00:00Z","proven":true,"last_delivered":"2026-03-14T11:59:18Z","troubles":[]}]}`

const refusing = `{"status":"ready","degraded":[],"rejected":"file","outbox":"file","rejected_records":12,"apps":[],"refused":[` +
	`{"reason":"plaintext","site":"push.example.org on 127.0.0.1:8080","count":4,"last":"2026-03-14T11:58:00Z",` +
	`"error":"this gateway accepts requests over TLS only: the proxy must send X-Forwarded-Proto: https, and the header is missing",` +
	`"hint":"configure the proxy to send X-Forwarded-Proto: https (nginx: proxy_set_header X-Forwarded-Proto $scheme)"}]}`

const degraded = `{"status":"degraded","degraded":[{"app":"","reason":"outbox_unreadable","detail":"shards 2, 7 of 16"},{"app":"","reason":"fuse_tripped","since":"2026-03-14T11:00:00Z"},` +
	`{"app":"org.example.ios","reason":"failing","detail":"network","error":"the proxy does not work: connection refused","since":"2026-03-14T11:50:00Z"},{"app":"org.example.up","reason":"failing","detail":"dns","host":"push.example.org:443","since":"2026-03-14T11:50:00Z"},{"app":"org.example.ios","reason":"breaker_open"},{"app":"org.example.ios","reason":"fuse_tripped","since":"2026-03-14T11:55:00Z"},` +
	`{"app":"org.example.ios","reason":"credential_expired","since":"2026-03-12T00:00:00Z"},{"app":"org.example.ios","reason":"misconfigured","detail":"invalid_provider_token","since":"2026-03-14T11:00:00Z"},{"app":"org.example.ios","reason":"something_new"}],"rejected":"redis","outbox":"redis","apps":[` +
	`{"app":"org.example.ios","provider":"apns","breaker":"open","in_flight":0,"fuse":{"app":"org.example.ios","tripped":"2026-03-14T11:55:00Z","dead":30,"pushkeys":40},"credential_expiry":"2026-03-12T00:00:00Z","proven":false,"troubles":[` +
	`{"reason":"invalid_provider_token","count":7,"first":"2026-03-14T10:00:00Z","since":"2026-03-14T11:00:00Z","last":"2026-03-14T11:58:00Z","detail":"InvalidProviderToken\u001b[2J","alarm":true},` +
	`{"reason":"timeout","count":1,"first":"2026-03-14T10:00:00Z","since":"2026-03-14T10:00:00Z","last":"2026-03-14T10:00:00Z","until":"2026-03-14T10:01:00Z","alarm":false}]}]}`

const dead = `{"pushkey_hash":"` + hashA + `","app":"org.example.ios","record":{"pushkey_hash":"` + hashA + `","app":"org.example.ios","reason":"unregistered",` +
	`"first_seen":"2026-03-10T12:00:00Z","last_seen":"2026-03-14T11:00:00Z","verdicts":2,"condemned_until":"2026-03-09T08:00:00Z","service_time":"2026-03-09T07:59:59Z","probe_at":"2026-03-14T13:00:00Z"},` +
	`"last":{"at":"2026-03-10T12:00:00Z","app":"org.example.ios","outcome":"rejected","reason":"unregistered","detail":"apns answered 410"},"waiting":false}`

const alive = `{"pushkey_hash":"` + hashA + `","app":"","waiting":true}`

const suspicion = `"suspicion":{"since":"2026-03-14T11:58:00Z","looks":2,"look_at":"2026-03-14T12:01:00Z"}`

const suspectedOnly = `{"pushkey_hash":"` + hashA + `","app":"org.example.up","record":{"pushkey_hash":"` + hashA + `","app":"org.example.up","reason":"not_found",` +
	`"first_seen":"2026-03-14T11:58:00Z","last_seen":"2026-03-14T11:59:00Z","verdicts":0,` + suspicion + `},` +
	`"last":{"at":"2026-03-14T11:59:00Z","app":"org.example.up","outcome":"suspected","reason":"not_found"},"waiting":true}`

const deadAndSuspected = `{"pushkey_hash":"` + hashA + `","app":"org.example.up","record":{"pushkey_hash":"` + hashA + `","app":"org.example.up","reason":"gone",` +
	`"first_seen":"2026-03-10T12:00:00Z","last_seen":"2026-03-14T11:59:00Z","verdicts":1,"condemned_until":"2026-03-09T08:00:00Z","probe_at":"2026-03-14T13:00:00Z",` + suspicion + `},"waiting":true}`

const keys = `{"keys":[{"app":"org.example.up","provider":"unifiedpush","application_server_key":"BCVx-_9"},` +
	`{"app":"org.example.web*","provider":"webpush","application_server_key":"BMSF-_8"}]}`

const failedOver = `{"status":"degraded","degraded":[{"app":"","reason":"outbox_unconfirmed","error":"redis: shard 3: the write was not confirmed in time: 0 of 1 replicas have it","since":"2026-03-14T11:50:00Z"}],` +
	`"rejected":"redis","outbox":"redis","apps":[],"servers":[{"store":"rejected","failovers":1,"last_failover":"2026-03-14T11:49:50Z"},{"store":"outbox","failovers":0}]}`

func suspectedRecord(hash string, verdicts string) string {
	return `{"pushkey_hash":"` + hash + `","app":"org.example.up","reason":"not_found","first_seen":"2026-03-14T11:58:00Z","last_seen":"2026-03-14T11:59:00Z","verdicts":` + verdicts + `,` + suspicion + `}`
}

func record(hash string) string {
	return `{"pushkey_hash":"` + hash + `","app":"org.example.ios","reason":"unregistered","first_seen":"2026-03-10T12:00:00Z","last_seen":"2026-03-14T11:00:00Z","verdicts":2,"probe_at":"2026-03-14T13:00:00Z"}`
}

func entry(id string, more string) string {
	return `{"id":"` + id + `","app":"org.example.ios","pushkey_hash":"` + hashA + `","badge":false,"size":300,"accepted":"2026-03-14T11:00:00Z","expires":"2026-03-15T11:00:00Z","due":"2026-03-14T12:05:00Z","attempts":3,"running":false` + more + `}`
}

// lost is a gateway whose VAPID key was replaced, with a push server that limits it.
const lost = `{"status":"degraded","degraded":[{"app":"org.example.web","reason":"misconfigured","detail":"wrong_key","word":"VapidPkHashMismatch","since":"2026-03-14T11:50:00Z"}],"rejected":"file","outbox":"file","apps":[` +
	`{"app":"org.example.web","provider":"webpush","open_hosts":1,"paused_hosts":2,"in_flight":0,"fuse":{"app":"org.example.web","dead":0,"pushkeys":9},"proven":true,` +
	`"wrong_keys":[{"host":"fcm.googleapis.com:443","devices":3,"since":"2026-03-14T11:50:00Z"},{"host":"push.example.org:443","devices":1,"since":"2026-03-14T11:59:00Z","accepted":true}],` +
	`"troubles":[{"reason":"wrong_key","count":3,"first":"2026-03-14T11:50:00Z","since":"2026-03-14T11:50:00Z","last":"2026-03-14T11:58:00Z","word":"VapidPkHashMismatch","alarm":true}]}]}`

const wrongKey = `{"pushkey_hash":"` + hashA + `","app":"org.example.web","last":{"at":"2026-03-14T11:59:00Z","app":"org.example.web","outcome":"unauthorized","reason":"wrong_key","word":"VapidPkHashMismatch"},` +
	`"waiting":true,"note":"the device subscribed with another key"}`

const unserved = `{"pushkey_hash":"` + hashA + `","app":"","unusable":{"reason":"unknown_app","explanation":"no app serves the app_id: add an app","detail":"no app serves \"org.exmple.up\": did you mean \"org.example.up\"?"},"waiting":false`

// heldBy is a device whose rejection is not believed.
func heldBy(cause string) string {
	return `{"pushkey_hash":"` + hashA + `","app":"org.example.ios","last":{"at":"2026-03-14T11:59:00Z","app":"org.example.ios","outcome":"doubted","reason":"bad_device_token",` +
		`"explanation":"the token does not belong to the environment: change environment","word":"BadDeviceToken"},"waiting":true,"held":"` + cause + `"}`
}

const unusable = `{"pushkey_hash":"` + hashA + `","app":"org.example.up","unusable":{"reason":"bad_endpoint","detail":"it is not an https URL"},"waiting":false}`

func TestWhatPeopleAndScriptsSee(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, route, answer string
		args                []string
		code                int
	}{
		{"status", "apps", healthy, []string{"status"}, 0},
		{"status-degraded", "apps", degraded, []string{"status"}, 0},
		{"status-refused", "apps", refusing, []string{"status", "--strict"}, 0},
		{"status-failover", "apps", failedOver, []string{"status"}, 0},
		{"status-strict", "apps", degraded, []string{"status", "--strict"}, 3},
		{"explain-dead", "rejected/explain", dead, []string{"rejected", "explain", "--hash", "ab12"}, 3},
		{"status-wrong-key", "apps", lost, []string{"status", "--strict"}, 3},
		{"explain-wrong-key", "rejected/explain", wrongKey, []string{"rejected", "explain", "--hash", "ab12"}, 0},
		{"explain-unusable", "rejected/explain", unusable, []string{"rejected", "explain", "--app-id", "org.example.up", "--pushkey", canary}, 3},
		// P7: the first line says how the next notification is answered.
		{"explain-unserved", "rejected/explain", unserved + `}`, []string{"rejected", "explain", "--app-id", "org.exmple.up", "--pushkey", canary}, 3},
		{"explain-unserved-held", "rejected/explain", unserved + `,"held":"fuse"}`, []string{"rejected", "explain", "--app-id", "org.exmple.up", "--pushkey", canary}, 0},
		{"explain-held", "rejected/explain", heldBy("fuse"), []string{"rejected", "explain", "--hash", "ab12"}, 0},
		{"explain-doubted", "rejected/explain", heldBy("doubt"), []string{"rejected", "explain", "--hash", "ab12"}, 0},
		{
			"explain-probe", "rejected/explain", strings.NewReplacer(`"condemned_until":"2026-03-09T08:00:00Z",`, "", `"probe_at":"2026-03-14T13`, `"probe_at":"2026-03-14T11`).Replace(dead),
			[]string{"rejected", "explain", "--hash", "ab12"},
			3,
		},
		// P16: a reason has its sentence beside it.
		{
			"explain-meaning", "rejected/explain", strings.ReplaceAll(dead, `"reason":"unregistered",`, `"reason":"unregistered","explanation":"the app was removed: the client must register again",`),
			[]string{"rejected", "explain", "--hash", "ab12"},
			3,
		},
		{
			"status-meaning", "apps", strings.NewReplacer(`"reason":"timeout",`, `"reason":"timeout","explanation":"no answer in time: check the firewall",`,
				`"reason":"invalid_provider_token","count"`, `"reason":"invalid_provider_token","explanation":"the key does not match: compare key_id","count"`).Replace(degraded),
			[]string{"status"},
			0,
		},
		{
			"send-own-site", "send", `{"app":"org.example.up","provider":"unifiedpush","pushkey_hash":"` + hashA + `","site":"push.example.org","outcome":"delivered","reason":"delivered","result":"delivered","on_record":false,"duration":0.5}`,
			[]string{"send", "--app-id", "org.example.up", "--pushkey", canary},
			0,
		},
		{
			"send-meaning", "send", `{"app":"org.example.up","provider":"unifiedpush","pushkey_hash":"` + hashA + `","outcome":"dropped","reason":"blocked","explanation":"your settings don't allow this address: use allow_private","detail":"it is private","result":"dropped","on_record":false,"duration":0.5,"note":"ntfy.lan is not a site of this gateway"}`,
			[]string{"send", "--app-id", "org.example.up", "--pushkey", canary},
			3,
		},
		{
			"send-word", "send", `{"app":"org.example.ios","provider":"apns","pushkey_hash":"` + hashA + `","outcome":"misconfigured","reason":"http_403","word":"BadEnvironmentKeyInToken","result":"queued","on_record":false,"duration":0.5}`,
			[]string{"send", "--app-id", "org.example.ios", "--pushkey", canary},
			3,
		},
		{"explain-alive", "rejected/explain", alive, []string{"rejected", "explain", "--hash", hashA}, 0},
		{"explain-suspected", "rejected/explain", suspectedOnly, []string{"rejected", "explain", "--hash", "ab12"}, 0},
		{"explain-dead-suspected", "rejected/explain", deadAndSuspected, []string{"rejected", "explain", "--hash", "ab12"}, 3},
		{
			"explain-suspected-due", "rejected/explain", strings.ReplaceAll(suspectedOnly, "12:01:00", "11:59:00"),
			[]string{"rejected", "explain", "--hash", "ab12"},
			0,
		},
		{
			"list-suspected", "rejected", `{"records":[` + suspectedRecord(hashA, "0") + `,` + suspectedRecord(hashB, "1") + `,` + record(hashA) + `]}`,
			[]string{"rejected", "list"},
			0,
		},
		{"list", "rejected", `{"records":[` + record(hashA) + `,` + record(hashB) + `]}`, []string{"rejected", "list"}, 0},
		{
			"list-gone", "rejected", `{"records":[` + record(hashA) + `],"configured":false}`,
			[]string{"rejected", "list", "--app", "org.example.gone"},
			0,
		},
		{
			"outbox-app-gone", "outbox", `{"entries":[` + entry("2", "") + `],"configured":false}`,
			[]string{"outbox", "list", "--app", "org.example.gone"},
			0,
		},
		{"forget-gone", "rejected/forget", `{"forgotten":7,"configured":false}`, []string{"rejected", "forget", "--app", "org.example.gone", "--since", "2h"}, 0},
		{"drop-gone", "outbox/drop", `{"app":"org.example.gone","dropped":1,"configured":false}`, []string{"outbox", "drop", "--app", "org.example.gone", "--all"}, 0},
		{"list-none", "rejected", `{"records":[]}`, []string{"rejected", "list"}, 0},
		{"forget", "rejected/forget", `{"pushkey_hash":"` + hashA + `","forgotten":1}`, []string{"rejected", "forget", "--hash", "ab12"}, 0},
		{"forget-none", "rejected/forget", `{"pushkey_hash":"` + hashA + `","forgotten":0}`, []string{"rejected", "forget", "--hash", hashA}, 0},
		{"forget-endpoints", "rejected/forget", `{"forgotten":3}`, []string{"rejected", "forget", "--app-id", "org.example.web", "--pushkey", canary}, 0},
		{"explain-note", "rejected/explain", strings.Replace(alive, "{", `{"note":"give the endpoint",`, 1), []string{"rejected", "explain", "--app-id", "org.example.web", "--pushkey", canary}, 0},
		{"forget-since", "rejected/forget", `{"forgotten":7}`, []string{"rejected", "forget", "--app", "org.example.ios", "--since", "2h"}, 0},
		{
			"outbox", "outbox", `{"apps":[{"app":"org.example.ios","entries":4,"devices":2,"oldest":"2026-03-14T11:20:00Z","configured":true},{"app":"org.example.gone","entries":1,"devices":1,"oldest":"2026-03-14T11:20:00Z","configured":false}]}`,
			[]string{"outbox", "list"},
			0,
		},
		{"outbox-part", "outbox", `{"apps":[],"unreadable":"shards 2, 7 of 16"}`, []string{"outbox", "list"}, 0},
		{"outbox-none", "outbox", `{"apps":[]}`, []string{"outbox", "list"}, 0},
		{"outbox-app", "outbox", `{"entries":[` + entry("1", `,"running":true`) + `,` + entry("2", `,"badge":true`) + `,` + entry("3", `,"wake":true`) + `]}`, []string{"outbox", "list", "--app", "org.example.ios"}, 0},
		{"outbox-app-none", "outbox", `{"entries":[]}`, []string{"outbox", "list", "--app", "org.example.ios"}, 0},
		{"retry", "outbox/retry", `{"app":"org.example.ios","configured":true}`, []string{"outbox", "retry", "--app", "org.example.ios"}, 0},
		{"retry-device", "outbox/retry", `{"app":"org.example.ios","pushkey_hash":"` + hashA + `","configured":true}`, []string{"outbox", "retry", "--app", "org.example.ios", "--hash", "ab12"}, 0},
		{"retry-gone", "outbox/retry", `{"app":"org.example.gone","configured":false}`, []string{"outbox", "retry", "--app", "org.example.gone"}, 0},
		{"drop", "outbox/drop", `{"app":"org.example.ios","pushkey_hash":"` + hashA + `","dropped":1}`, []string{"outbox", "drop", "--app", "org.example.ios", "--hash", "ab12"}, 0},
		{"keys", "keys", keys, []string{"vapid-key"}, 0},
		{"keys-none", "keys", `{"keys":[]}`, []string{"vapid-key"}, 0},
		{"key", "keys", `{"keys":[{"app":"org.example.web*","provider":"webpush","application_server_key":"BMSF-_8"}]}`, []string{"vapid-key", "org.example.web1"}, 0},
		{"fuse", "fuses/reset", `{"was_tripped":true}`, []string{"fuse", "reset", "--app", "org.example.ios"}, 0},
		{"fuse-untripped", "fuses/reset", `{"was_tripped":false}`, []string{"fuse", "reset", "--unknown-apps"}, 0},
		{
			"send", "send", `{"app":"org.example.ios","provider":"apns","pushkey_hash":"` + hashA + `","outcome":"delivered","reason":"delivered","result":"delivered","on_record":true,"duration":0.123}`,
			[]string{"send", "--app-id", "org.example.ios", "--pushkey", canary},
			0,
		},
		{
			"send-refused", "send", `{"app":"org.example.ios","provider":"apns","pushkey_hash":"` + hashA + `","outcome":"retry","reason":"too_many_requests","detail":"apns answered 429","result":"queued","retry_after":30,"service_time":"2026-03-09T07:59:59Z","on_record":false,"duration":2.5}`,
			[]string{"send", "--app-id", "org.example.ios", "--pushkey", canary},
			3,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answers := map[string][]string{tt.route: {tt.answer}}
			r := world{}.ask(t, newAPI(t, answers), tt.args...)
			r.want(t, tt.code)
			if r.err != "" || strings.Contains(r.out, "\x1b") {
				t.Errorf("there is an error, or a colour: %q %q", r.err, r.out)
			}
			golden(t, tt.name, r.out)
			r = world{}.ask(t, newAPI(t, answers), append(tt.args, "--json")...)
			r.want(t, tt.code)
			if want := tt.answer + "\n"; tt.name != "outbox-app" && r.out != want {
				t.Errorf("the JSON is\n%s, not the API's\n%s", r.out, want)
			}
		})
	}
}

func TestColoursAreForATerminalAlone(t *testing.T) {
	a := newAPI(t, map[string][]string{"apps": {degraded}})
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	r := world{terminal: true}.ask(t, a, "status")
	golden(t, "status-colours", r.out)
	r.want(t, 0, "\x1b[33mdegraded\x1b[0m", "\x1b[31minvalid_provider_token\x1b[0m")
	t.Setenv("NO_COLOR", "1")
	if r := (world{terminal: true}).ask(t, a, "status"); strings.Contains(r.out, "\x1b") {
		t.Errorf("coloured in spite of NO_COLOR: %q", r.out)
	}
}

func TestWhatIsAskedOfTheAdminAPI(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pushkey")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	endpointFile := filepath.Join(t.TempDir(), "endpoint")
	if err := os.WriteFile(endpointFile, []byte("https://push.example/"+canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const byEndpoint = `{"app_id":"org.example.web","endpoint":"https://push.example/` + canary + `","pushkey":"` + canary + `"}`
	const byValue = `{"app_id":"org.example.ios","pushkey":"` + canary + `"}`
	answers := map[string]string{
		"rejected/explain": alive, "rejected/forget": `{"forgotten":0}`, "rejected": `{"records":[]}`, "outbox": `{"entries":[]}`, "outbox/retry": `{}`,
		"outbox/drop": `{}`, "keys": `{"keys":[]}`, "fuses/reset": `{}`, "send": `{"outcome":"delivered"}`,
	}
	for _, tt := range []struct {
		args        string // separated by spaces
		stdin, want string
	}{
		{"rejected explain --hash ab12", "", `POST rejected/explain {"hash":"ab12"}`},
		{"rejected explain --app-id org.example.ios --pushkey " + canary, "", `POST rejected/explain ` + byValue},
		{"rejected explain --app-id org.example.ios --pushkey -", canary + "\n", `POST rejected/explain ` + byValue},
		{"rejected explain --app-id org.example.ios --pushkey-file " + file, "", `POST rejected/explain ` + byValue},
		{"rejected forget --app-id org.example.ios --pushkey -", canary + "\r\n", `POST rejected/forget ` + byValue},
		{"rejected explain --app-id org.example.web --pushkey - --endpoint https://push.example/" + canary, canary, `POST rejected/explain ` + byEndpoint},
		{"rejected forget --app-id org.example.web --pushkey - --endpoint-file " + endpointFile, canary, `POST rejected/forget ` + byEndpoint},
		{"rejected forget --app org.example.ios --since 2h", "", `POST rejected/forget {"app":"org.example.ios","since":"2026-03-14T10:00:00Z"}`},
		{"rejected forget --app org.example.ios --since 2d", "", `POST rejected/forget {"app":"org.example.ios","since":"2026-03-12T12:00:00Z"}`},
		{"rejected forget --app org.example.ios --since 2026-03-01T00:00:00+01:00", "", `POST rejected/forget {"app":"org.example.ios","since":"2026-02-28T23:00:00Z"}`},
		{"rejected list --app org.example.* --state suspected --prefix ab", "", `GET rejected?app=org.example.%2A&limit=1000&prefix=ab&state=suspected`},
		{"outbox list --app org.example.*", "", `GET outbox?app=org.example.%2A&limit=1000`},
		{"outbox retry --app a --hash ab12", "", `POST outbox/retry {"app":"a","hash":"ab12"}`},
		{"outbox drop --app a --hash ab12 --id 7", "", `POST outbox/drop {"app":"a","hash":"ab12","id":"7"}`},
		{"outbox drop --app a --all", "", `POST outbox/drop {"app":"a","all":true}`},
		{"vapid-key", "", `GET keys`},
		{"vapid-key org.example.web*&b", "", `GET keys?app_id=org.example.web%2A%26b`},
		{"fuse reset --app a", "", `POST fuses/reset {"app":"a"}`},
		{"fuse reset --unknown-apps", "", `POST fuses/reset {}`},
		{"send --app-id org.example.ios --pushkey -", canary, `POST send {"notification":{"devices":[` + byValue + `]}}`},
		{
			`send --app-id org.example.ios --pushkey - --data {"auth":"x"} --event-id $1 --room-id !r --body hi --low --site push.example.org`, canary,
			`POST send {"notification":{"content":{"body":"hi","msgtype":"m.text"},"devices":[{"app_id":"org.example.ios","data":{"auth":"x"},"pushkey":"` + canary +
				`"}],"event_id":"$1","prio":"low","room_id":"!r"},"site":"push.example.org"}`,
		},
		{
			"send --badge --app-id org.example.ios --pushkey -", canary,
			`POST send {"notification":{"content":null,"devices":[` + byValue + `],"event_id":null,"room_id":null,"room_name":null,"sender":null,"sender_display_name":null,"type":null}}`,
		},
		{"send --request -", `{"notification":{"devices":[]}}`, `POST send {"notification":{"devices":[]}}`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			route, _, _ := strings.Cut(strings.Fields(tt.want)[1], "?")
			a := newAPI(t, map[string][]string{route: {answers[route]}})
			world{stdin: tt.stdin}.ask(t, a, strings.Fields(tt.args)...).want(t, 0)
			a.want(t, tt.want)
		})
	}
}

func TestAllPagesAreRead(t *testing.T) {
	t.Parallel()
	pages := func() map[string][]string {
		return map[string][]string{
			"rejected":        {`{"records":[` + record(hashA) + `],"next":"c"}`, `{"records":[],"next":"d"}`, `{"records":[` + record(hashB) + `]}`},
			"outbox":          {`{"entries":[` + entry("1", "") + `],"next":"c"}`, `{"entries":[` + entry("2", "") + `]}`},
			"rejected/forget": {`{"forgotten":2,"next":"c"}`, `{"forgotten":3}`},
			"outbox/drop":     {`{"app":"a","dropped":2,"next":"c"}`, `{"app":"a","dropped":1}`},
		}
	}
	for _, tt := range []struct {
		args, out string
		requests  []string
	}{
		{
			"rejected list --json", `{"records":[` + record(hashA) + `,` + record(hashB) + `]}`,
			[]string{"GET rejected?limit=1000", "GET rejected?cursor=c&limit=1000", "GET rejected?cursor=d&limit=1000"},
		},
		{"rejected list --json --limit 1", `{"records":[` + record(hashA) + `]}`, []string{"GET rejected?limit=1000"}},
		{
			"outbox list --app a --json", `{"entries":[` + entry("1", "") + `,` + entry("2", "") + `]}`,
			[]string{"GET outbox?app=a&limit=1000", "GET outbox?app=a&cursor=c&limit=1000"},
		},
		{
			"rejected forget --app a --since 1h --json", `{"forgotten":5}`,
			[]string{`POST rejected/forget {"app":"a","since":"2026-03-14T11:00:00Z"}`, `POST rejected/forget {"app":"a","cursor":"c","since":"2026-03-14T11:00:00Z"}`},
		},
		{"outbox drop --app a --all --json", `{"app":"a","dropped":3}`, []string{`POST outbox/drop {"app":"a","all":true}`, `POST outbox/drop {"app":"a","all":true,"cursor":"c"}`}},
	} {
		a := newAPI(t, pages())
		r := world{}.ask(t, a, strings.Fields(tt.args)...)
		if r.want(t, 0); r.out != tt.out+"\n" || r.err != "" {
			t.Errorf("%s prints\n%s%s\nwant\n%s", tt.args, r.out, r.err, tt.out)
		}
		a.want(t, tt.requests...)
		if r := (world{terminal: true}).ask(t, newAPI(t, pages()), strings.Fields(tt.args)...); len(tt.requests) > 1 && !strings.Contains(r.err, "so far…") {
			t.Errorf("%s shows no progress to a person: %q", tt.args, r.err)
		}
	}
}

func TestWrongUsageEndsWith2AndSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"nonsense":                                "unknown command",
		"rejected nonsense":                       "unknown command",
		"status --nonsense":                       "unknown flag",
		"status more":                             "too many",
		"outbox retry":                            "missing",
		"outbox drop --app a":                     "--hash or --all",
		"outbox drop --app a --all --hash b":      "--all cannot",
		"outbox list --limit -1":                  "--limit",
		"rejected list --limit x":                 "--limit",
		"rejected list --prefix CANARY-f00d":      "--prefix must be at most 32 hexadecimal digits\n",
		"ui --port 80":                            "--port cannot be 80",
		"rejected list --limit -1":                "--limit",
		"rejected list --state gone":              "--state",
		"rejected explain":                        "the device is missing",
		"rejected explain --hash ab --app-id b":   "cannot be used together",
		"rejected explain --app-id b":             "--pushkey or --pushkey-file is missing",
		"rejected explain --pushkey b":            "--app-id is missing",
		"rejected explain --app-id b --pushkey -": "the pushkey is empty",
		"rejected explain --app-id b --pushkey b --pushkey-file c":               "cannot be used together",
		"rejected explain --hash ab --endpoint b":                                "cannot be used together",
		"rejected explain --endpoint b":                                          "--app-id is missing",
		"rejected explain --app-id a --pushkey b --endpoint c --endpoint-file d": "cannot be used together",
		"rejected explain --app-id a --pushkey b --endpoint-file /dev/null":      "the endpoint is empty",
		"rejected forget --endpoint b --app a --since 1h":                        "cannot be used together with a device",
		"rejected forget --app a":                                                "must be used together",
		"rejected forget --hash ab --app a --since 1h":                           "cannot be used together with a device",
		"rejected forget --app a --since yesterday":                              "--since",
		"fuse reset":                                   "--unknown-apps",
		"fuse reset --app a --unknown-apps":            "--unknown-apps",
		"send":                                         "--app-id is missing",
		"send --request a --app-id b":                  "--request contains the whole notification",
		"send --app-id a --pushkey b --data {":         "--data is not valid JSON",
		"send --app-id a --pushkey b --badge --body c": "--badge sends no event",
		"vapid-keygen":                                 "missing",
		"vapid-key a b":                                "too many",
	} {
		r := world{}.run(t, strings.Fields(args)...)
		if r.want(t, exitUsage, want, "--help"); r.out != "" || strings.Count(r.err, "\n") != 2 {
			t.Errorf("%s prints\n%s%s", args, r.out, r.err)
		}
	}
	world{}.run(t, "vapid-key", "").want(t, exitUsage, "the app_id is empty", "--help")
	world{}.run(t).want(t, 0, "vapid-keygen", "vapid-key ")
}

func TestWhatFailsIsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, route, answer, args, want string }{
		{"no gateway", "apps", failing(http.StatusServiceUnavailable, `{"error":"no Matrix push gateway is configured"}`), "status", "no Matrix push gateway is configured"},
		{"another Caddy", "other", "", "status", "404 Not Found: does this Caddy include the gateway?"},
		{"no JSON", "apps", "hello", "status", "unexpected answer"},
		{"a hash that several begin with", "rejected/explain", failing(http.StatusConflict, `{"error":"several","candidates":["`+hashA+`","`+hashB+`"]}`), "rejected explain --hash ab", hashA + ", " + hashB},
		{"nothing known", "rejected/explain", failing(http.StatusNotFound, `{"error":"nothing is known of it"}`), "rejected explain --hash ab12", "nothing is known of it"},
		{"an app_id that no app serves", "keys", failing(http.StatusNotFound, `{"error":"no app serves \"b\": there are a"}`), "vapid-key b", `no app serves "b": there are a`},
		{"a store that fails", "outbox", failing(http.StatusInternalServerError, `{"error":"on fire\u001b[2J"}`), "outbox list", "on fire"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := world{}.ask(t, newAPI(t, map[string][]string{tt.route: {tt.answer}}), strings.Fields(tt.args)...)
			r.want(t, exitFailed, tt.want)
			if r.out != "" || !strings.HasPrefix(r.err, "Error: ") || strings.Count(r.err, "\n") != 1 || strings.Contains(r.err, "\x1b") {
				t.Errorf("printed %q and %q", r.out, r.err)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		a := newAPI(t, nil)
		a.Close()
		world{}.ask(t, a, "status").want(t, exitFailed, "cannot be reached (see --address and --config)", "connection refused")
		world{}.run(t, "status", "--address", "unix//"+filepath.Join(t.TempDir(), "none.sock")).want(t, exitFailed, "cannot be reached")
		world{}.run(t, "status", "--address", "localhost:1-9").want(t, exitFailed, "is invalid")
	})
}
