package redisclient

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

func TestACheckAsksWhetherRedisHasWhatAStoreNeeds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", secret)
	socket := strings.TrimPrefix(server.URL, "unix://")
	admin := load(t, "unix://:"+secret+"@"+socket)
	for user, rights := range map[string]string{
		"push":     "~{matrix_push}:* +@read +@write +@scripting +@connection +time +info",
		"uninform": "~{matrix_push}:* +@read +@write +@scripting +@connection +time",
		"reader":   "~{matrix_push}:* +@read +@scripting +@connection +time +info",
		"other":    "~other:* +@all",
		"noscript": "~{matrix_push}:* +@read +@write +@connection +time +info",
	} {
		args := []any{"ACL", "SETUSER", user, "on", ">" + secret}
		for _, right := range strings.Fields(rights) {
			args = append(args, right)
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, url   string
		want        string // empty for no error
		unreachable bool
	}{
		{"the user of the documentation", "unix://push:" + secret + "@" + socket, "", false},
		{"a user that may not use INFO", "unix://uninform:" + secret + "@" + socket, "", false},
		{"no password", server.URL, "redis: NOAUTH", false},
		{"a wrong password", "unix://push:wrong-" + secret + "@" + socket, "redis: WRONGPASS", false},
		{"a user that may not write", "unix://reader:" + secret + "@" + socket, "redis: ", false},
		{"a user for other keys", "unix://other:" + secret + "@" + socket, "redis: ", false},
		{"a user that may not run scripts", "unix://noscript:" + secret + "@" + socket, "redis: NOPERM", false},
		{"nobody there", "redis://127.0.0.1:1", "redis: dial tcp 127.0.0.1:1: ", true},
		{"a server that is not Redis", redistest.Nonsense(t, "-ERR unknown command\r\n"), "redis: ERR unknown command", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			err := load(t, tt.url).Check(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), trialKey)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || Unreachable(err) != tt.unreachable {
				t.Errorf("got %v, unreachable %v", err, Unreachable(err))
			}
			if err != nil && strings.Contains(err.Error(), secret) || strings.Contains(log.String(), secret) {
				t.Errorf("the error or the log shows the password: %v", err)
			}
		})
	}
	if keys, err := admin.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("the checks left the keys %q: %v", keys, err)
	}
	if err := admin.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Check(t.Context(), slog.New(slog.DiscardHandler), trialKey); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("at a replica: %v", err)
	}
}

func TestACheckLogsSettingsWithWhichRedisMayLoseData(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	client := load(t, redistest.Start(t, "--appendonly", "no").URL)
	if err := client.Check(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), trialKey); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "append-only") {
		t.Errorf("logged %q", &log)
	}
}

func TestAServerThatIsTooOldIsNamed(t *testing.T) {
	t.Parallel()
	for info, want := range map[string]string{
		"# Server\r\nredis_version:7.0.15\r\n":                        "",
		"# Server\r\nredis_version:6.2.0\r\n":                         "",
		"# Server\r\nredis_version:7.2.4\r\nvalkey_version:8.1.1\r\n": "",
		"# Server\r\n":                         "",
		"# Server\r\nredis_version:6.0.16\r\n": "the server has version 6.0, and the gateway needs 6.2 or later",
		"# Server\r\nredis_version:5.0.3\r\n":  "the server has version 5.0, and the gateway needs 6.2 or later",
	} {
		if err := checkVersion(info); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: got %v", info, err)
		}
	}
}

func TestAFullRedisDoesNotFailTheLoad(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "1")
	log, err := probe(t, server.URL)
	if err != nil || !strings.Contains(log, "redis cannot be used at the moment") || !strings.Contains(log, "OOM") {
		t.Errorf("error %v, log %s", err, log)
	}
	if err := load(t, server.URL).Check(t.Context(), slog.New(slog.DiscardHandler), trialKey); err == nil || Unreachable(err) {
		t.Errorf("Check: %v", err)
	}
}
