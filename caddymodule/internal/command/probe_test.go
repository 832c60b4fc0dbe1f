package command

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// probedAccount is a homeserver with one account, whose pusher has a URL of this gateway. It notes what it is asked to change, and refuses
// to register pushers.
type probedAccount struct {
	*httptest.Server
	mu      sync.Mutex
	changes []string
}

func newProbedAccount(t *testing.T) *probedAccount {
	t.Helper()
	a := new(probedAccount)
	answers := map[string]string{
		"/versions":          `{"versions":["v1.15"]}`,
		"/v3/account/whoami": `{"user_id":"@alice:hs.test","device_id":"DEVICE"}`,
		"/v3/pushers": `{"pushers":[{"app_id":"org.example.up","kind":"http","pushkey":"` + canary + `",` +
			`"data":{"url":"https://127.0.0.1:1/_matrix/push/v1/notify","format":"event_id_only"}}]}`,
		"/v3/pushrules/":                         ruleset,
		"/v3/profile/@alice:hs.test/displayname": `{"displayname":"Alice"}`,
		"/v3/notifications":                      `{"notifications":[]}`,
	}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/_matrix/client")
		if answer, ok := answers[path]; ok {
			_, _ = io.WriteString(w, answer)
			return
		}
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.changes = append(a.changes, path)
		a.mu.Unlock()
		if strings.Contains(string(body), `"kind":null`) {
			_, _ = io.WriteString(w, `{}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errcode":"M_FORBIDDEN","error":"Not today"}`)
	}))
	t.Cleanup(a.Close)
	return a
}

// newProbingAPI is the admin API of the gateway that the account's pusher sends to.
func newProbingAPI(t *testing.T) *api {
	t.Helper()
	const here = `{"pushkey_hash":"` + hashA + `","app":"org.example.ios","waiting":false,"arrival":{"site":"127.0.0.1:1","result":"named"}}`
	return newAPI(t, map[string][]string{
		"apps": {healthy}, "rejected/explain": {here},
		"probe": {`{"app_id":"org.matrix-push.doctor","pushkey":"` + canary + `","expires":"2026-03-14T12:10:00Z"}`}, "probe/seen": {`{}`},
	})
}

// answering returns a terminal on which somebody writes a line.
func answering(t *testing.T, line string) *os.File {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	if _, err := out.WriteString(line); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return in
}

func writeToken(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAProbeAsksBeforeItChangesAnything(t *testing.T) {
	t.Parallel()
	tried := []string{"/v3/pushers/set", "/v3/pushers/set"} // and removed, as it may have been registered
	for _, tt := range []struct {
		answer  string
		args    []string
		code    int
		want    string
		changes []string
	}{
		{"y\n", nil, exitFound, "Problem: probe_failed", tried},
		{"Yes\n", nil, exitFound, "Not today (M_FORBIDDEN)", tried},
		{"n\n", nil, exitFailed, "not confirmed: nothing was changed", nil},
		{"\n", nil, exitFailed, "not confirmed: nothing was changed", nil},
		{"", nil, exitFailed, "not confirmed: nothing was changed", nil},
		{"", []string{"--yes"}, exitFound, "Problem: probe_failed", tried},
	} {
		account := newProbedAccount(t)
		args := append([]string{"doctor", "--homeserver", account.URL, "--token-file", writeToken(t, canary), "--probe"}, tt.args...)
		r := world{in: answering(t, tt.answer), terminal: true, columns: 80}.ask(t, newProbingAPI(t), args...)
		r.want(t, tt.code, tt.want)
		if asked := strings.Contains(r.err, "Continue? [y/N] "); asked != (tt.args == nil) {
			t.Errorf("%q: it prints %q", tt.answer, r.err)
		}
		fits(t, uncoloured(r.out))
		if !slices.Equal(account.changes, tt.changes) {
			t.Errorf("%q: the homeserver was asked for %q, want %q", tt.answer, account.changes, tt.changes)
		}
	}
}

func TestTheFlagsOfAProbe(t *testing.T) {
	t.Parallel()
	token := writeToken(t, canary)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--probe --token-file " + token, exitUsage, "there is no terminal to ask: add --yes"},
		{"--yes --token-file " + token, exitUsage, "--yes and --from-token-file need --probe"},
		{"--from-token-file " + token + " --token -", exitUsage, "--yes and --from-token-file need --probe"},
		{"--probe --yes --token - --from-token-file -", exitUsage, "only one token can be read from standard input"},
		{"--probe --yes --token - --from-token-file " + token + "x", exitFailed, "--from-token-file: open "},
		{"--probe --yes --token - --from-token-file " + token, exitFailed, "the second account is the same user"},
	} {
		account := newProbedAccount(t)
		args := append([]string{"doctor", "--homeserver", account.URL}, strings.Fields(tt.args)...)
		world{stdin: canary}.ask(t, newProbingAPI(t), args...).want(t, tt.code, tt.want)
		if account.changes != nil {
			t.Errorf("%s: the homeserver was asked for %q", tt.args, account.changes)
		}
	}
}
