// Package messagetest has the common parts of the tests of providers that send push messages.
package messagetest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

var update = flag.Bool("update", false, "write the golden files")

// Golden compares a payload with the file testdata/<name>.json, which is indented.
func Golden(t testing.TB, name string, payload []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, payload, "", "  "); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	indented.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, indented.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(indented.Bytes(), want) {
		t.Errorf("got\n%swant\n%s", indented.Bytes(), want)
	}
}

// provisioning is sequential, as in Caddy: it sets certmagic's default storage.
var provisioning sync.Mutex

// NewContext returns a context with a separate storage.
func NewContext(t testing.TB) caddy.Context {
	t.Helper()
	storage, err := json.Marshal(map[string]string{"module": "file_system", "root": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	provisioning.Lock()
	defer provisioning.Unlock()
	ctx, err := caddy.ProvisionContext(&caddy.Config{StorageRaw: storage})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// Options trust the authority and may reach loopback.
func Options(caFile string) endpoint.Options {
	return endpoint.Options{
		Options: network.Options{TrustedCA: caFile, Proxy: "none"}, AllowPrivate: []string{"127.0.0.1"},
	}
}

// Alert returns a full notification, as Synapse sends it.
func Alert() *providers.Notification {
	return &providers.Notification{
		EventID: "$event", RoomID: "!room:example.org", Type: "m.room.message", Sender: "@alice:example.org",
		SenderDisplayName: "Alice", RoomName: "Ops", RoomAlias: "#ops:example.org",
		Counts:  providers.Counts{Unread: new(int64(2)), MissedCalls: new(int64(1))},
		Content: json.RawMessage(`{"msgtype": "m.text", "body": "a < b", "formatted_body": "<b>a</b>"}`),
		Body: json.RawMessage(`{"notification": {"event_id": "$event", "room_id": "!room:example.org", "type": "m.room.message",
			"sender": "@alice:example.org", "sender_display_name": "Alice", "room_name": "Ops", "room_alias": "#ops:example.org",
			"prio": "high", "counts": {"unread": 2, "missed_calls": 1}, "org.example.unknown": [1, null],
			"content": {"msgtype": "m.text", "body": "a < b", "formatted_body": "<b>a</b>"},
			"devices": [{"app_id": "org.example", "pushkey": "another's secret"}]}}`),
	}
}

// Badge returns a badge update.
func Badge() *providers.Notification {
	return &providers.Notification{
		Badge: true, Counts: providers.Counts{Unread: new(int64(0))},
		Body: json.RawMessage(`{"notification": {"counts": {"unread": 0}, "devices": []}}`),
	}
}

// PushOf returns a push that expires in an hour.
func PushOf(n *providers.Notification, d providers.Device) *providers.Push {
	return &providers.Push{Notification: n, Device: &d, ID: "7b3f3c9e-3a42-4a52-b0f0-2f9d2a4a1d55", Expires: time.Now().Add(time.Hour)}
}

// Want checks an outcome.
func Want(t testing.TB, o providers.Outcome, kind providers.Kind, reason string) {
	t.Helper()
	if o.Kind != kind || o.Reason != reason {
		t.Errorf("the outcome is %s (%s, %v), want %s (%s)", o.Kind, o.Reason, o.Err, kind, reason)
	}
}
