package command

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnAddressIsTakenAsPeopleTypeIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"localhost:22049":                "tcp localhost:22049",
		"http://localhost:22049":         "tcp localhost:22049",
		"HTTP://localhost:22049/":        "tcp localhost:22049",
		"localhost:22049/":               "tcp localhost:22049",
		" localhost:22049\n":             "tcp localhost:22049",
		"tcp/localhost:22049":            "tcp localhost:22049",
		"localhost":                      "tcp localhost:2019",
		"http://localhost":               "tcp localhost:2019",
		":2019":                          "tcp localhost:2019",
		"22049":                          "tcp localhost:22049",
		"[::1]:22049":                    "tcp [::1]:22049",
		"http://[::1]:22049":             "tcp [::1]:22049",
		"unix//run/caddy.sock":           "unix /run/caddy.sock",
		"unix///run/caddy.sock":          "unix //run/caddy.sock",
		"unix:///run/caddy.sock":         "unix /run/caddy.sock",
		"unix:/run/caddy.sock":           "unix /run/caddy.sock",
		"unix//run/caddy.sock|0660":      "unix /run/caddy.sock",
		"/run/caddy.sock":                "unix /run/caddy.sock",
		"./caddy.sock":                   "unix ./caddy.sock",
		"../caddy.sock":                  "unix ../caddy.sock",
		"unix/caddy.sock":                "unix caddy.sock",
		"https://localhost:22049":        "uses https, but the admin API does not support TLS",
		"https://user:hunter2@localhost": "uses https, but the admin API does not support TLS",
		"http://user:hunter2@localhost":  "is invalid: write host:port",
		"user:hunter2@localhost:2019":    "is invalid: write host:port",
		"http://localhost:2019/config":   "is invalid: write host:port",
		"ftp://localhost:2019":           "is invalid: write host:port",
		"localhost:1-9":                  "is invalid: write host:port",
		"localhost:0":                    "is invalid: write host:port",
		"localhost:http":                 "is invalid: write host:port",
		"udp/localhost:2019":             "is invalid: write host:port",
		"fd/3":                           "is invalid: write host:port",
		"unix/":                          "is invalid: write host:port",
		"http://":                        "is invalid: write host:port",
		" ":                              "is invalid: write host:port",
	} {
		got, err := parseAddress(text)
		shown := got.Network + " " + got.JoinHostPort(0)
		if got.IsUnixNetwork() {
			shown = got.Network + " " + got.Host
		}
		if err != nil {
			shown = err.Error()
		}
		if shown != want && (err == nil || !strings.HasPrefix(shown, want) || strings.Contains(shown, "hunter2")) {
			t.Errorf("%q is %q, want %q", text, shown, want)
		}
	}
}

// P18: http:///localhost:22049 … no Host in request URL.
func TestTheAdminAPIIsFoundAtWhatPeopleType(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string][]string{"apps": {healthy}})
	host := strings.TrimPrefix(a.URL, "http://")
	socket := filepath.Join(shortDir(t), "a.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: a}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(host)
	for _, address := range []string{host, a.URL, a.URL + "/", host + "/", ":" + port, port, socket, "unix/" + socket, "unix://" + socket} {
		r := world{}.run(t, "status", "--address", address)
		if r.want(t, 0, "The gateway is ready."); r.err != "" {
			t.Errorf("--address %s: %s", address, r.err)
		}
	}
	world{}.run(t, "status", "--address", "https://"+host).want(t, exitFailed, "--address uses https, but the admin API does not support TLS: write http://host:port or host:port")
}

// shortDir returns a folder whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "a") //nolint:usetesting // the names of t.TempDir are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// P18: a Unix socket was shown as http://127.0.0.1.
func TestAnErrorNamesTheSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "none.sock")
	r := world{}.run(t, "status", "--address", socket)
	r.want(t, exitFailed, "the admin API at unix/"+socket+" cannot be reached")
	if strings.Contains(r.err, "127.0.0.1") {
		t.Errorf("the error names another address: %s", r.err)
	}
}

// P18: with admin off, the command tried localhost:2019. Reading a configuration changes Caddy's log, so the test is not parallel.
func TestAConfigurationWithoutTheAdminAPIIsAnErrorThatSaysSo(t *testing.T) {
	config := filepath.Join(t.TempDir(), "caddy.json")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"admin":{"disabled":true}}`)
	world{}.run(t, "status", "--config", config).want(t, exitFailed, "turns off the admin API (admin off), but this command needs it")
	write(`{"admin":{"listen":"https://localhost:2019"}}`)
	world{}.run(t, "status", "--config", config).want(t, exitFailed, "the admin API's address in the configuration uses https")
	a := httptest.NewServer(newAPI(t, map[string][]string{"apps": {healthy}}))
	t.Cleanup(a.Close)
	write(`{"admin":{"listen":"` + strings.TrimPrefix(a.URL, "http://") + `"}}`)
	world{}.run(t, "status", "--config", config).want(t, 0, "The gateway is ready.")
}
