package unifiedpush

import (
	"bytes"
	"encoding/json"
	"iter"
	"maps"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/jsonwrite"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/messagesize"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// room is how many bytes the ids of a notification and the device's account nearly always take at most.
const room = 256

// message returns what an endpoint receives, with these members of the notification.
func message(members map[string]json.RawMessage) []byte {
	size := room
	for _, value := range members {
		size += len(value)
	}
	w := jsonwrite.New(size)
	w.Open()
	w.Name("notification")
	w.Members(jsonwrite.Sorted(members))
	w.Close()
	return w.Bytes()
}

// idMessage returns what an endpoint receives of a reduced notification.
func idMessage(n *providers.Notification) []byte {
	w := jsonwrite.New(room)
	w.Open()
	w.Name("notification")
	webpushmessage.WriteIDs(w, n)
	w.Close()
	return w.Bytes()
}

// bodies returns the forms of a notification with these members for a device, from the whole notification to its ids.
//
// The device goes first, then the content as in webpush: the members that no client shows, then the end of its body, then the rest. Then
// the names go, which may leave room for the content again, and then everything except ids, counts, priority and MSC3013's members.
func bodies(n *providers.Notification, members map[string]json.RawMessage, d *providers.Device, encrypted bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for form := range messagesize.Shrinking(richer(n, members, d, encrypted)) {
			if !yield(form) {
				return
			}
		}
		if isFull(n, members) && !yield(idMessage(n)) || n.Encrypted == (providers.Encrypted{}) {
			return
		}
		bare := *n
		bare.Encrypted = providers.Encrypted{} // the client can still fetch the event
		yield(idMessage(&bare))
	}
}

// isFull reports whether a notification has, or had, the homeserver's own members.
func isFull(n *providers.Notification, members map[string]json.RawMessage) bool {
	return n.Prepared != nil || members != nil
}

// richer returns the forms with the homeserver's own members, or the forms with the ids if there are no such members.
func richer(n *providers.Notification, members map[string]json.RawMessage, d *providers.Device, encrypted bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if all := whole(n, members); all != nil {
			for devices := range devicesOf(d, encrypted || isFull(n, members)) {
				if !yield(withDevices(all, devices)) {
					return
				}
			}
			if !yield(all) {
				return
			}
		}
		own := members
		if n.Prepared != nil {
			own = membersIn(n.Prepared)
		}
		for form := range poorer(own, limit(encrypted)) {
			if !yield(form) {
				return
			}
		}
	}
}

// whole returns the whole notification without a device; nil if it does not fit.
func whole(n *providers.Notification, members map[string]json.RawMessage) []byte {
	switch {
	case isPart(n.Prepared):
		return nil
	case n.Prepared != nil:
		return n.Prepared
	case members != nil:
		return message(members)
	default:
		return idMessage(n)
	}
}

// first returns the first of the forms in [bodies]; nil if the whole notification does not fit.
func first(n *providers.Notification, members map[string]json.RawMessage, d *providers.Device, encrypted bool) []byte {
	if isPart(n.Prepared) {
		return nil
	}
	for form := range richer(n, members, d, encrypted) {
		return form
	}
	return nil
}

// limit returns how large a message may be.
func limit(encrypted bool) int {
	if encrypted {
		return webpushmessage.MaxEncrypted
	}
	return webpushmessage.MaxBody
}

// poorer returns the forms with some of the homeserver's own members; none if there are no members.
func poorer(members map[string]json.RawMessage, limit int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if members == nil {
			return
		}
		content, _ := clientjson.Members(members["content"])
		for _, left := range leftOut {
			for _, form := range messagesize.Contents(content, limit, around(members, left)) {
				if !yield(form) {
					return
				}
			}
		}
	}
}

// leftOut are the members that are left out around the content.
var leftOut = [][]string{{"content"}, {"content", "room_name", "room_alias", "sender_display_name"}}

// around returns a function that makes a message from members and a content.
func around(members map[string]json.RawMessage, left []string) func(content map[string]json.RawMessage) []byte {
	frame := maps.Clone(members)
	for _, name := range left {
		delete(frame, name)
	}
	return func(content map[string]json.RawMessage) []byte {
		if len(content) == 0 {
			return message(frame)
		}
		whole := maps.Clone(frame)
		whole["content"] = clientjson.Marshal(content)
		return message(whole)
	}
}

// part is the prepared form of a notification that does not fit: what its possible messages are made from. Its end distinguishes it from a
// whole one.
type part struct {
	Notification map[string]json.RawMessage `json:"notification,omitempty"`
	Part         bool                       `json:"part"`
}

func isPart(prepared json.RawMessage) bool { return bytes.HasSuffix(prepared, []byte(`"part":true}`)) }

// Reduce makes the message with the whole notification, if that fits in the clear, and otherwise the part that all other messages are made
// from. Push adds the device's own members.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	reduced := n
	if members := n.Members(); members != nil {
		reduced = n.Reduced()
		if reduced.Prepared = message(members); len(reduced.Prepared) > webpushmessage.MaxBody {
			reduced.Prepared = clientjson.Marshal(part{partOf(members), true})
		}
	}
	if ids, too := messagesize.OversizeIDs(reduced, webpushmessage.MaxBody, messagesize.Size); too {
		return ids
	}
	if _, too := messagesize.OversizeEncrypted(reduced.Encrypted, webpushmessage.MaxBody, messagesize.Size); too {
		bare := *reduced
		bare.Encrypted = providers.Encrypted{}
		if bare.Prepared == nil {
			bare.Prepared = clientjson.Marshal(part{Part: true}) // with them, the device does not fit; without them, it must not come back
		}
		return &bare
	}
	return reduced
}

// partOf returns the members without those that no message has: names that do not fit even without a content, and the part of the content
// that does not fit without names. There are none if all the others do not fit.
func partOf(members map[string]json.RawMessage) map[string]json.RawMessage {
	fits := func(form []byte) bool { return len(form) <= webpushmessage.MaxBody }
	named, nameless := around(members, leftOut[0]), around(members, leftOut[1])
	if !fits(nameless(nil)) {
		return nil
	}
	kept, left := maps.Clone(members), leftOut[1]
	if fits(named(nil)) {
		left = leftOut[0]
	}
	for _, name := range left {
		delete(kept, name)
	}
	content, _ := clientjson.Members(members["content"])
	for shorter, form := range messagesize.Contents(content, webpushmessage.MaxBody, nameless) {
		if fits(form) {
			if shorter != nil {
				kept["content"] = clientjson.Marshal(shorter)
			}
			break
		}
	}
	return kept
}

// membersIn returns the notification's members from its prepared form.
func membersIn(prepared json.RawMessage) map[string]json.RawMessage {
	var b struct {
		Notification map[string]json.RawMessage `json:"notification"`
	}
	_ = lenient.Unmarshal(prepared, &b)
	return b.Notification
}
