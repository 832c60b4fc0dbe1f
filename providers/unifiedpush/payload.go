package unifiedpush

import (
	"encoding/json"
	"iter"
	"maps"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/message"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/payload"
)

// body is what an endpoint receives.
type body struct {
	Notification any `json:"notification"`
}

// bodies are the forms of a notification, from the whole of it to its ids. One that was reduced begins with the largest that was ever
// going to be sent.
func bodies(n *providers.Notification) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		members, forms := n.Members(), leftOut
		if n.Prepared != nil {
			if !yield(n.Prepared) {
				return
			}
			members, forms = membersIn(n.Prepared), leftOut[1:]
		}
		if members != nil {
			for _, left := range forms {
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

// leftOut is what each form leaves out that has the homeserver's own words.
var leftOut = [][]string{nil, {"content"}, {"content", "room_name", "room_alias", "sender_display_name"}}

// Reduce makes the largest form that fits a message in the clear. All other forms that may be sent can be made of it and of the ids.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	reduced := n
	if members := n.Members(); members != nil {
		reduced = n.Reduced()
		for _, left := range leftOut {
			if form := payload.Marshal(body{without(members, left...)}); len(form) <= message.MaxBody {
				reduced.Prepared = form
				break
			}
		}
	}
	if ids, too := payload.OversizeIDs(reduced, message.MaxBody, payload.Size); too {
		return ids
	}
	if _, too := payload.OversizeEncrypted(reduced.Encrypted, message.MaxBody, payload.Size); too {
		bare := *reduced
		bare.Encrypted = providers.Encrypted{}
		return &bare
	}
	return reduced
}

// membersIn are the members of the notification in a form.
func membersIn(form json.RawMessage) map[string]json.RawMessage {
	var b struct {
		Notification map[string]json.RawMessage `json:"notification"`
	}
	_ = lenient.Unmarshal(form, &b)
	return b.Notification
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
