package caddymodule_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// mistake is a configuration that an operator wrote by mistake.
type mistake struct {
	name      string
	caddyfile string // the configuration is a Caddyfile,
	json      string // or the JSON of the gateway
	starts    bool   // the mistake shows only when the configuration goes live
	caddys    bool   // Caddy finds the mistake, so the error is not ours
	field     string // how the error names what is wrong
	cure      string // how it says what to do
}

// global returns the gateway's global options.
func global(lines ...string) string {
	return "{\n\tskip_install_trust\n\tmatrix_push {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n}\n"
}

func inApp(lines ...string) string {
	return global(append(append([]string{"app org.example.ios {"}, lines...), "}")...)
}

func inProvider(provider string, lines ...string) string {
	return inApp(append(append([]string{provider + " {"}, lines...), "}")...)
}

func webpush(lines ...string) string {
	return inProvider("webpush", append([]string{"vapid_subject mailto:ops@example.org"}, lines...)...)
}

func apns(key string, lines ...string) string {
	return inProvider("apns", append([]string{"topic org.example.ios", "key_id ABC123DEFG", "key_file " + key}, lines...)...)
}

// TestTheFortyFiveMistakesOfANewcomerNameTheirFieldAndTheirCure has the mistakes that a newcomer made while they tried the gateway.
func TestTheFortyFiveMistakesOfANewcomerNameTheirFieldAndTheirCure(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/credentials.json") // so nobody asks Google's metadata server
	for _, tt := range mistakes(t) {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.load(t)
			switch {
			case err == nil:
				t.Fatal("it loads")
			case !strings.Contains(err.Error(), tt.field):
				t.Errorf("the error does not name %s: %v", tt.field, err)
			case !strings.Contains(err.Error(), tt.cure):
				t.Errorf("the error does not say %q: %v", tt.cure, err)
			case tt.cure == "" && !tt.caddys:
				t.Error("the mistake has no cure")
			}
		})
	}
}

// load adapts and validates the configuration as Caddy does, or makes it live.
func (m mistake) load(t *testing.T) error {
	t.Helper()
	config := []byte(fmt.Sprintf(`{"apps":{"matrix_push":%s}}`, m.json))
	if m.caddyfile != "" {
		var err error
		config, _, err = caddyconfig.GetAdapter("caddyfile").Adapt([]byte(m.caddyfile), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			return err
		}
	}
	if !m.starts {
		return validate(t, string(config))
	}
	var live map[string]any
	if err := json.Unmarshal(config, &live); err != nil {
		t.Fatal(err)
	}
	live["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	live["storage"] = storage(t)
	err := caddy.Load(caddyconfig.JSON(live, nil), true)
	if err == nil {
		t.Cleanup(func() { _ = caddy.Stop() })
	}
	return err
}

func mistakes(t *testing.T) []mistake {
	t.Helper()
	return append(append(mistakesInProviders(t), mistakesInTheGateway(t)...), mistakesThatShowAtTheStart(t)...)
}

// A site's options are in the JSON of Caddy's HTTP app.
func TestAMistakeInTheJSONOfASiteNamesItsOption(t *testing.T) {
	for options, want := range map[string]string{
		`"plaintxt":"allow"`: `there is no option "plaintxt": did you mean "plaintext"? The options are apps and plaintext`,
		`"apps":"w"`:         `apps: must be a list in square brackets, but it is a string`,
		`"apps":["v"]`:       `apps: no app "v" is configured: there is only *`,
	} {
		const config = `{"apps":{"http":{"servers":{"s":{"listen":[":443"],"routes":[{"handle":[{"handler":"matrix_push",%s}]}]}}}}}`
		if err := validate(t, fmt.Sprintf(config, options)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got the error %v", options, err)
		}
	}
}

// inFile returns the path of a new file.
func inFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func rsaKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func mistakesInProviders(t *testing.T) []mistake {
	t.Helper()
	p8 := inFile(t, "AuthKey.p8", rsaKey(t))
	services := inFile(t, "google-services.json", `{"project_info":{"project_id":"example"},"client":[]}`)
	const team = "team_id DEF456GHIJ"
	return []mistake{
		{name: "a wrong path of a key", caddyfile: apns("/etc/keys/AuthKey.p8", team), field: "key_file: ", cure: "write the path of a file that exists"},
		{name: "a relative path of a key", caddyfile: apns("AuthKey.p8", team), field: "key_file: ", cure: "this one starts in the folder "},
		{name: "a team_id that is a name", caddyfile: apns(p8, `team_id "Example Org Ltd"`), field: "team_id: ", cure: "10 capital letters and digits"},
		{name: "an RSA key", caddyfile: apns(p8, team), field: "key_file: ", cure: "use AuthKey_<key id>.p8 as Apple issued it"},
		{name: "an empty variable", caddyfile: apns("{env.MATRIX_PUSH_TEST_UNSET}", team), field: "key_file: ", cure: "{env.MATRIX_PUSH_TEST_UNSET} is empty"},
		{name: "an environment that is not one", caddyfile: apns(p8, team, "environment prod"), field: "environment: ", cure: "neither production nor sandbox"},
		{name: "a misspelt option", caddyfile: apns(p8, team, "keyfile x"), field: `app "org.example.ios": apns has no option "keyfile"`, cure: `did you mean "key_file"? The options are `},
		{name: "google-services.json", caddyfile: inProvider("fcm", "credentials_file "+services), field: "credentials_file: ", cure: "use a service account's key, not google-services.json"},
		{name: "a .p8 as FCM's credentials", caddyfile: inProvider("fcm", "credentials_file "+p8), field: "credentials_file: ", cure: "use a service account's key"},
		{name: "fcm without anything", caddyfile: inApp("fcm"), field: "credentials_file: missing", cure: "set it"},
		{name: "FCM's JSON without quotes", caddyfile: inProvider("fcm", `notification {"title": "New message"}`), field: "notification: ", cure: "in backquotes: notification `{…}`"},
		{name: "FCM's JSON with a misspelt member", caddyfile: inProvider("fcm", "notification `{\"titel\": \"x\"}`"), field: "notification.titel: ", cure: "did you mean title?"},
		{name: "a vapid_subject without mailto:", caddyfile: inProvider("webpush", "vapid_subject ops@example.org"), field: "vapid_subject: ", cure: "such as mailto:ops@example.org"},
		{name: "a range that is too long", caddyfile: webpush("allow_private 10.0.0.0/33"), field: `allow_private: "10.0.0.0/33"`, cure: "a CIDR range such as 10.0.0.0/8"},
	}
}

func mistakesInTheGateway(t *testing.T) []mistake {
	t.Helper()
	up := func(policy string) string { return inApp("unifiedpush", policy) }
	return []mistake{
		{name: "a missing brace", caddyfile: "{\n\tmatrix_push {\n\t\tapp w {\n\t\t\tunifiedpush\n\t\t}\n\t\n}\npush.example.org {\n\tmatrix_push\n}\n", caddys: true},
		{name: "a misspelt directive", caddyfile: "push.example.org {\n\tmatrixpush\n}\n", caddys: true, field: "matrixpush"},
		{name: "an unknown provider", caddyfile: inApp("apn"), field: `"apn"`, cure: `did you mean "apns"? The options and providers are apns, badges, `},
		{name: "no provider", caddyfile: inApp("wait 5s"), field: `app "org.example.ios" has no provider`, cure: "add one of apns, fcm, "},
		{name: "two providers", caddyfile: inApp("unifiedpush", "webpush"), field: "an app can have only one provider", cure: `remove "webpush" or the other one`},
		{name: "an app that is there twice", caddyfile: global("app w {\nunifiedpush\n}", "app w {\nunifiedpush\n}"), field: `app "w" is given twice`, cure: "remove one of them"},
		{name: "two patterns for the same app_id", caddyfile: global("app org.*.ios {\nunifiedpush\n}", "app org.?.ios {\nunifiedpush\n}"), field: `apps "org.*.ios" and "org.?.ios"`, cure: "write more of the app_id in one of them"},
		{name: "a slash in a pattern", caddyfile: global("app a/b {\nunifiedpush\n}"), field: `app "a/b"`, cure: "use ? or * in its place"},
		{name: "the name of a label of the metrics", caddyfile: global("app _unknown {\nunifiedpush\n}"), field: `app "_unknown"`, cure: "use another pattern"},
		{name: "a wait that is too long", caddyfile: up("wait 30s"), field: `app "org.example.ios": wait: 30s`, cure: "between 0s and 25s"},
		{name: "a ttl of two words", caddyfile: up("ttl 1 day"), field: `app "org.example.ios": ttl: `, cure: "write ttl <duration>, such as 5s or 1d"},
		{name: "a misspelt content", caddyfile: up("content event-id-only"), field: "content: ", cure: "use event_id_only or full"},
		{name: "an unknown store", caddyfile: global("rejected sqlite"), field: `rejected: this build has no store "sqlite"`, cure: "the stores are file, memory and redis"},
		{name: "an unknown outbox", caddyfile: global("outbox flie"), field: `outbox: this build has no outbox "flie"`, cure: `did you mean "file"? The outboxes are file, off and redis`},
		{name: "an outbox that is a folder", caddyfile: global("outbox file " + t.TempDir()), field: "outbox: ", cure: "is a directory: write the path of a file in it"},
		{name: "a number with a letter", caddyfile: global("rejected memory {\nmax_entries 5x\n}"), field: `max_entries: "5x"`, cure: "not a positive number"},
		{name: "a fuse without a percent sign", caddyfile: global("fuse 50"), field: `fuse: "50"`, cure: "a share such as 50%"},
		{name: "apps in the global options", caddyfile: global("apps {\n}"), field: `matrix_push in the global options has no option "apps"`, cure: `but matrix_push on a site has it: did you mean "app"?`},
		{name: "an app on a site", caddyfile: "push.example.org {\n\tmatrix_push {\n\t\tapp w {\n\t\t}\n\t}\n}\n", field: `matrix_push on a site has no option "app"`, cure: "but matrix_push in the global options has it"},
		{name: "a provider on a site", caddyfile: "push.example.org {\n\tmatrix_push {\n\t\tapns\n\t}\n}\n", field: `matrix_push on a site has no option "apns"`, cure: "but an app in the global options has it"},
		{name: "a site with an app that is not configured", caddyfile: up("wait 5s") + "localhost {\n\tmatrix_push {\n\t\tapps org.example.iso\n\t}\n}\n", field: `apps: no app "org.example.iso" is configured`, cure: `did you mean "org.example.ios"?`},
		{name: "a site without TLS", caddyfile: up("wait 5s") + "http://localhost {\n\tmatrix_push\n}\n", field: "plaintext: ", cure: "set plaintext to trusted_proxy"},
		{name: "JSON with a misspelt option", json: `{"apps":{"w":{"provider":{"name":"unifiedpush"},"wiat":"5s"}}}`, field: `app "w": there is no option "wiat"`, cure: `did you mean "wait"? The options are badges, concurrency, content, provider, ttl and wait`},
		{name: "JSON with a wrong duration", json: `{"apps":{"w":{"provider":{"name":"unifiedpush"},"wait":"10x"}}}`, field: `app "w": wait: "10x"`, cure: "a duration such as 5s or 1d"},
		{name: "JSON with an unknown provider", json: `{"apps":{"w":{"provider":{"name":"apn"}}}}`, field: `app "w": provider: this build has no provider "apn"`, cure: `did you mean "apns"?`},
		{name: "JSON with a misspelt option of a provider", json: `{"apps":{"w":{"provider":{"name":"apns","keyfile":"x"}}}}`, field: `app "w": provider "apns": there is no option "keyfile"`, cure: `did you mean "key_file"?`},
		{name: "JSON with a misspelt option of a third party's provider", json: `{"apps":{"w":{"provider":{"name":"test_thirdparty","greting":"x"}}}}`, field: `app "w": provider "test_thirdparty": there is no option "greting"`, cure: `did you mean "greeting"?`},
		{name: "JSON with a misspelt option of a store", json: `{"rejected":{"name":"file","pth":"x"}}`, field: `rejected: file: there is no option "pth"`, cure: `did you mean "path"? The options are expire, max_entries and path`},
		{name: "JSON with a string for a number", json: `{"fuse":{"share":"50%"}}`, field: "fuse: share: ", cure: "must be a number, without quotes"},
		{name: "JSON with an unknown store", json: `{"rejected":{"name":"sqlite"}}`, field: `rejected: this build has no store "sqlite"`, cure: "the stores are file, memory and redis"},
		{name: "JSON with the name of a label of the metrics", json: `{"apps":{"_other":{"provider":{"name":"unifiedpush"}}}}`, field: `app "_other"`, cure: "use another pattern"},
	}
}

func mistakesThatShowAtTheStart(t *testing.T) []mistake {
	t.Helper()
	locked := filepath.Join(t.TempDir(), "outbox.db")
	db, _, err := boltfile.Open(locked, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	list := []mistake{
		{name: "no vapid_subject", caddyfile: inApp("webpush"), field: "vapid_subject is missing", cure: "write one such as vapid_subject mailto:ops@example.org"},
		{name: "an outbox in a folder that cannot be created", caddyfile: global("outbox file /proc/nope/outbox.db"), field: "outbox: ", cure: "set path to a folder that Caddy's user can write to"},
		{name: "an outbox that another process uses", caddyfile: global("outbox file " + locked), field: "outbox: " + locked, cure: "use `caddy reload` to change a running one"},
		{name: "a port that is in use", caddyfile: "http://" + taken.Addr().String() + " {\n\trespond ok\n}\n", caddys: true, field: "address already in use"},
	}
	for _, size := range []int{5000, 100_000} {
		garbage := inFile(t, "outbox.db", strings.Repeat("x", size))
		list = append(list, mistake{name: fmt.Sprintf("an outbox of %d bytes of garbage", size), caddyfile: global("outbox file " + garbage), field: "outbox: " + garbage, cure: "move it away to start with an empty one"})
	}
	for i := range list {
		list[i].starts = true
	}
	return list
}

// Such an app broke /metrics: its fuse had the same labels as that of all apps that are not configured.
func TestAnAppWithTheNameOfALabelOfTheMetricsIsRefusedInBothSpellings(t *testing.T) {
	for _, name := range []string{"_unknown", "_other"} {
		for spelling, m := range map[string]mistake{
			"Caddyfile": {caddyfile: global("app " + name + " {\nunifiedpush\n}")},
			"JSON":      {json: `{"apps":{"` + name + `":{"provider":{"name":"unifiedpush"}}}}`},
		} {
			if err := m.load(t); err == nil || !strings.Contains(err.Error(), `app "`+name+`": this name is reserved for the gateway's metrics`) {
				t.Errorf("%s in the %s: got the error %v", name, spelling, err)
			}
		}
	}
}

func TestAWrongPasswordOfRedisNamesTheURL(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "right")
	url := "unix://default:wrong@" + strings.TrimPrefix(server.URL, "unix://")
	err := mistake{caddyfile: global("rejected redis " + url), starts: true}.load(t)
	if err == nil || !strings.Contains(err.Error(), "rejected: redis: ") || !strings.Contains(err.Error(), "correct the user or the password in the URL") {
		t.Errorf("got the error %v", err)
	}
}
