package unifiedpush

import (
	"encoding/json"
	"iter"
	"maps"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/message"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/payload"
)

// body is what an endpoint receives.
type body struct {
	Notification any `json:"notification"`
}

// bodies are the forms of a notification, from the whole of it to its ids.
func bodies(n *providers.Notification) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if members := n.Members(); members != nil {
			for _, left := range [][]string{nil, {"content"}, {"content", "room_name", "room_alias", "sender_display_name"}} {
				if !yield(payload.Marshal(body{without(members, left...)})) {
					return
				}
			}
		}
		if !yield(payload.Marshal(body{message.IDsOf(n)})) || n.Encrypted == (providers.Encrypted{}) {
			return
		}
		bare := *n
		bare.Encrypted = providers.Encrypted{} // the client can still fetch the event
		yield(payload.Marshal(body{message.IDsOf(&bare)}))
	}
}

func without(members map[string]json.RawMessage, names ...string) map[string]json.RawMessage {
	if len(names) == 0 {
		return members
	}
	fewer := maps.Clone(members)
	for _, name := range names {
		delete(fewer, name)
	}
	return fewer
}
