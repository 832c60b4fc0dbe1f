package webpushmessage

import (
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/jsonwrite"
)

// WriteIDs writes a notification reduced to what a client needs to fetch the event, in the protocol's own form.
func WriteIDs(w *jsonwrite.Writer, n *providers.Notification) {
	w.Open()
	w.Text("event_id", n.EventID)
	w.Text("room_id", n.RoomID)
	w.Text("prio", n.Prio.String())
	if n.Counts != (providers.Counts{}) {
		w.Name("counts")
		w.Open()
		w.Number("unread", n.Counts.Unread) // a zero counts
		w.Number("missed_calls", n.Counts.MissedCalls)
		w.Close()
	}
	w.Text("ciphertext", n.Encrypted.Ciphertext)
	w.Text("ephemeral", n.Encrypted.Ephemeral)
	w.Text("mac", n.Encrypted.MAC)
	w.Close()
}
