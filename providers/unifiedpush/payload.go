package unifiedpush

import (
	"encoding/json"
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
func bodies(n *providers.Notification) [][]byte {
	ids := payload.Marshal(body{message.IDsOf(n)})
	small := [][]byte{ids}
	if n.Encrypted != (providers.Encrypted{}) {
		bare := *n
		bare.Encrypted = providers.Encrypted{} // the client can still fetch the event
		small = append(small, payload.Marshal(body{message.IDsOf(&bare)}))
	}
	members := n.Members()
	if members == nil {
		return small
	}
	whole := payload.Marshal(body{members})
	noContent := payload.Marshal(body{without(members, "content")})
	noNames := payload.Marshal(body{without(members, "content", "room_name", "room_alias", "sender_display_name")})
	return append([][]byte{whole, noContent, noNames}, small...)
}

func without(members map[string]json.RawMessage, names ...string) map[string]json.RawMessage {
	fewer := maps.Clone(members)
	for _, name := range names {
		delete(fewer, name)
	}
	return fewer
}
