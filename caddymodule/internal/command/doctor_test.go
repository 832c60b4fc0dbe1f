package command

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ruleset is a part of Synapse's default rules.
const ruleset = `{"global":{"override":[{"rule_id":".m.rule.master","default":true,"enabled":true,"conditions":[],"actions":[]},` +
	`{"rule_id":".m.rule.is_user_mention","default":true,"enabled":true,"conditions":[{"kind":"event_property_contains","key":"content.m\\.mentions.user_ids","value":"@alice:hs.test"}],"actions":["notify"]}],` +
	`"underride":[{"rule_id":".m.rule.message","default":true,"enabled":true,"conditions":[{"kind":"event_match","key":"type","pattern":"m.room.message"}],"actions":["notify"]}]}}`

// newAccount is a homeserver with one account, whose pushers are at another gateway.
func newAccount(t *testing.T) string {
	t.Helper()
	answers := map[string]string{
		"/versions":          `{"versions":["v1.15"]}`,
		"/v3/account/whoami": `{"user_id":"@alice:hs.test","device_id":"DEVICE"}`,
		"/v3/pushers": `{"pushers":[{"app_id":"m.email","kind":"email","pushkey":"` + canary + `@example.org","data":{},"device_display_name":"mail"},` +
			`{"app_id":"im.vector.app.android","kind":"http","pushkey":"` + canary + `","data":{"url":"http://push.example.com/` + canary + `"}}]}`,
		"/v3/pushrules/":                         ruleset,
		"/v3/profile/@alice:hs.test/displayname": `{"displayname":"Alice"}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/_matrix/client")
		if path != "/versions" && r.Header.Get("Authorization") != "Bearer "+canary {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid access token passed."}`)
			return
		}
		_, _ = io.WriteString(w, answers[path])
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const elsewhere = `{"pushkey_hash":"` + hashA + `","app":"","waiting":false,"arrival":{"site":"push.example.com","result":"no_such_site","detail":"no site"}}`

func TestDoctorPrintsTheProblemsFirst(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string][]string{"apps": {healthy}, "rejected/explain": {elsewhere}})
	r := world{stdin: canary + "\n", columns: 80}.ask(t, a, "doctor", "--homeserver", newAccount(t), "--token", "-")
	r.want(t, exitFound)
	fits(t, r.out)
	golden(t, "doctor", r.out)
}

func TestDoctorPrintsJSON(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string][]string{"apps": {healthy}, "rejected/explain": {elsewhere}})
	r := world{stdin: canary + "\n"}.ask(t, a, "doctor", "--json", "--homeserver", newAccount(t), "--token", "-")
	r.want(t, exitFound, `"user_id":"@alice:hs.test"`, `{"code":"rules_master_on","severity":"problem","rule":"override/.m.rule.master",`,
		`"rings":[{"event":"direct_message","push":false,"rule":"override/.m.rule.master"}`, `"pusher":2`)
}

func TestDoctorFailsWithOneSentence(t *testing.T) {
	t.Parallel()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	t.Cleanup(html.Close)
	account := newAccount(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a wrong token":            {[]string{"--homeserver", account, "--token-file", file}, exitFailed, "the access token is not valid at " + account},
		"another server":           {[]string{"--homeserver", html.URL, "--token", "-"}, exitFailed, html.URL + " is not a homeserver"},
		"a file that there is not": {[]string{"--homeserver", account, "--token-file", file + "x"}, exitFailed, "--token-file: open "},
		"no homeserver":            {[]string{"--token", "-"}, exitUsage, "--homeserver is missing"},
		"no token":                 {[]string{"--homeserver", account}, exitUsage, "the access token is missing"},
		"a token as an argument":   {[]string{"--homeserver", account, "--token", canary}, exitUsage, "a token on the command line is visible"},
		"two ways to give a token": {[]string{"--homeserver", account, "--token", "-", "--token-file", file}, exitUsage, "cannot be used together"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string][]string{"apps": {healthy}, "rejected/explain": {elsewhere}})
			r := world{stdin: canary}.ask(t, a, append([]string{"doctor"}, c.args...)...)
			if r.want(t, c.code, c.want); r.out != "" || c.code == exitFailed && strings.Count(r.err, "\n") != 1 {
				t.Errorf("it prints %q and %q", r.out, r.err)
			}
		})
	}
}

// Before an interruption, a probe may have removed an earlier pusher, and --send may have sent notifications.
func TestAnInterruptedDoctorClaimsNothing(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	account := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
	}))
	t.Cleanup(account.Close)
	a := newAPI(t, map[string][]string{"apps": {healthy}})
	root := world{}.root(t, &program{
		now: func() time.Time { return today }, terminal: func(io.Writer) bool { return false }, width: func(io.Writer) int { return 0 },
	})
	var errs bytes.Buffer
	root.SetIn(strings.NewReader(canary))
	root.SetErr(&errs)
	root.SetArgs([]string{
		"matrix-push", "doctor", "--homeserver", account.URL, "--token", "-", "--address", strings.TrimPrefix(a.URL, "http://"),
	})
	if err := root.ExecuteContext(ctx); err == nil || err.Error() != "interrupted" {
		t.Errorf("the error is %v, and it prints %q", err, &errs)
	}
}

func TestD04_AnAddressWithoutTLSIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, address := range []string{"http://matrix.example.org", "http://10.0.0.1:8008"} {
		world{stdin: canary}.ask(t, a, "doctor", "--homeserver", address, "--token", "-").
			want(t, exitFailed, "--homeserver: the homeserver's address uses http, so others on the network could read the access token")
	}
	a.want(t)
}

func TestWithoutAGatewayDoctorFails(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.Close()
	world{stdin: canary}.ask(t, a, "doctor", "--homeserver", newAccount(t), "--token", "-").want(t, exitFailed, "the admin API at ", "cannot be reached")
}
