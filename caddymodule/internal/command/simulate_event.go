package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// madeEvent are the flags that make an event.
type madeEvent struct {
	text, eventType, sender, room string
	mentions                      []string
	encrypted, invite             bool
}

func (m *madeEvent) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&m.text, "text", "", "Make an event: a message with this text")
	flags.StringVar(&m.eventType, "type", "", "Make an event of this type, such as m.call.invite (default: m.room.message)")
	flags.BoolVar(&m.encrypted, "encrypted", false, "Make an encrypted event; the homeserver sees neither its text nor its mentions")
	flags.BoolVar(&m.invite, "invite", false, "Make an event that invites the user to a room")
	flags.StringSliceVar(&m.mentions, "mention", nil, "A user's ID that the made event mentions, or room to mention the whole room")
	flags.StringVar(&m.sender, "sender", "", "The sender of the made event (default: a user @sender of the user's server)")
	flags.StringVar(&m.room, "room", "", "The room's ID; with --homeserver, the room's state is read")
}

// given reports whether a flag asks for an event to be made.
func (m *madeEvent) given(changed func(string) bool) bool {
	return changed("text") || m.eventType != "" || m.encrypted || m.invite || len(m.mentions) > 0
}

// make returns the event.
func (m *madeEvent) make(userID string) ([]byte, error) {
	if m.invite && (m.eventType != "" || m.encrypted || m.text != "" || len(m.mentions) > 0) {
		return nil, misuse("--invite cannot be used with --text, --type, --encrypted or --mention: an invite has no text")
	}
	if m.encrypted && m.eventType != "" {
		return nil, misuse("--encrypted and --type cannot be used together: the type of an encrypted event is m.room.encrypted")
	}
	server := "example.org"
	if _, domain, ok := strings.Cut(userID, ":"); ok {
		server = domain
	}
	e := map[string]any{"type": "m.room.message", "event_id": "$simulated", "room_id": "!simulated:" + server, "sender": "@sender:" + server}
	content := map[string]any{"msgtype": "m.text", "body": m.text}
	switch {
	case m.invite:
		e["type"], e["state_key"] = "m.room.member", userID
		content = map[string]any{"membership": "invite"}
	case m.encrypted:
		e["type"], content = "m.room.encrypted", map[string]any{"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "…"}
	case m.eventType != "" && m.text == "":
		content = map[string]any{}
	}
	if len(m.mentions) > 0 && !m.encrypted {
		content["m.mentions"] = m.mentioned()
	}
	e["content"] = content
	for name, value := range map[string]string{"type": m.eventType, "sender": m.sender, "room_id": m.room} {
		if value != "" {
			e[name] = value
		}
	}
	return json.Marshal(e)
}

func (m *madeEvent) mentioned() map[string]any {
	mentions, users := map[string]any{}, []string(nil)
	for _, name := range m.mentions {
		if name == "room" || name == "@room" {
			mentions["room"] = true
		} else {
			users = append(users, name)
		}
	}
	if users != nil {
		mentions["user_ids"] = users
	}
	return mentions
}

// readEvent returns the event that the flags give, and what errors call it. The event itself may come from the homeserver, or with the
// room's facts.
func (s *simulation) readEvent(in io.Reader, factsEvent json.RawMessage) (raw []byte, name string, err error) {
	f := s.flags
	switch {
	case f.eventID != "":
		raw, err = s.account.Event(s.ctx, f.made.room, f.eventID)
		return raw, "the event " + f.eventID, err
	case f.event != "":
		raw, err = readInput("--event", f.event, in, maxEvent)
		return raw, "--event " + f.event, err
	case f.made.given(f.given):
		raw, err = f.made.make(s.facts.UserID)
		return raw, "the event", err
	case factsEvent == nil:
		return nil, "", misuse("the event is missing: set --text, --event or --event-id, or add the member event to the file of --facts")
	}
	return factsEvent, "--facts " + f.facts.file + ": event", nil
}

// parseEvent reads an event. If it doesn't have the room's ID, it gets the one of --room: GET /sync leaves it out.
func (s *simulation) parseEvent(raw []byte, name string) error {
	var members map[string]json.RawMessage
	if room := s.flags.made.room; room != "" && json.Unmarshal(raw, &members) == nil && members != nil && members["room_id"] == nil {
		members["room_id"], _ = json.Marshal(room)
		raw, _ = json.Marshal(members)
	}
	event, err := pushrules.ParseEvent(raw)
	if err != nil {
		return fmt.Errorf(`%s: %w: write an event such as {"type":"m.room.message","content":{"body":"hello"}}`, name, err)
	}
	s.event, s.rawEvent = event, raw
	return nil
}
