package stanza_test

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

// BenchmarkPublish measures reading a publish of Prosody and answering it.
func BenchmarkPublish(b *testing.B) {
	for _, line := range recorded(b) {
		if line.file != "p13-offline-chat" {
			continue
		}
		b.ReportAllocs()
		for b.Loop() {
			s, err := stanza.Parse(line.text, component)
			if err != nil {
				b.Fatal(err)
			}
			s.(*stanza.Publish).Answer(stanza.Taken, "")
		}
	}
}
