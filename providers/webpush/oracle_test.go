package webpush

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// FuzzAMessageIsWrittenAsAMap compares the first and the last form of a message with the same members in a map.
func FuzzAMessageIsWrittenAsAMap(f *testing.F) {
	for _, content := range []string{
		`{"msgtype":"m.text","body":"a < b"}`, ` { "body" : "é\u2028\ud800" , "x" : [ 1 , {"a" : "b c"} ] , "body" : 1 } `, `{}`, ``, `[]`,
		`{"formatted_body":"x","ciphertext":"AwgA","algorithm":"m.megolm.v1.aes-sha2"}`, `{"a\"b":1e999,"":null}`,
		fmt.Sprintf(`{"body":%q,"ciphertext":%q}`, strings.Repeat("é", maxText), strings.Repeat("c", maxCiphertext)),
		fmt.Sprintf(`{"body":%q,"ciphertext":%q}`, strings.Repeat("x", maxText+1), strings.Repeat("c", maxCiphertext+1)),
		`{"ciphertext":"` + strings.Repeat("\xff", maxCiphertext/3+1) + `"}`, `{"body":["` + strings.Repeat("x", maxText) + `"]}`,
	} {
		const defaults = `{"session" : "s", "room_id":1, "sender":2, "content" : {"a" : 1}}`
		f.Add("$event", "!room", "Alice \"A\" <a&b>", "\u2028 \xff\t", content, defaults)
		f.Add("", "", "", "", content, `{"a":{"b" : [ ]},"unread":null,"z":" ","event_id":1,"room_id":2}`)
	}
	f.Fuzz(func(t *testing.T, event, room, sender, name, content, defaultPayload string) {
		n := &providers.Notification{
			EventID: event, RoomID: room, Sender: sender, SenderDisplayName: name, RoomName: name + sender, RoomAlias: room, Type: sender + event,
			Membership: name, UserIsTarget: event != "", Content: json.RawMessage(content),
		}
		if room != "" {
			n.Counts = providers.Counts{Unread: new(int64(len(room) - 2)), MissedCalls: new(int64(-len(room)))}
		}
		defaults, _ := clientjson.Members(json.RawMessage(defaultPayload))
		forms := formsOf(n, defaultsIn(json.RawMessage(defaultPayload)))
		bare := mapOf(&providers.Notification{EventID: n.EventID, RoomID: n.RoomID, Counts: n.Counts}, nil, nil)
		if want := string(clientjson.Marshal(mapOf(n, trimmedMap(n.Content), defaults))); string(forms[0]) != want {
			t.Errorf("the first form is %s, want %s", forms[0], want)
		}
		if want := string(clientjson.Marshal(bare)); string(forms[len(forms)-1]) != want {
			t.Errorf("the last form is %s, want %s", forms[len(forms)-1], want)
		}
	})
}

// mapOf returns a message as a map.
func mapOf(n *providers.Notification, content, defaults map[string]json.RawMessage) map[string]any {
	members := make(map[string]any)
	for name, value := range defaults {
		if name != "event_id" && name != "room_id" {
			members[name] = value
		}
	}
	own := map[string]any{
		"event_id": n.EventID, "room_id": n.RoomID, "type": n.Type, "sender": n.Sender, "membership": n.Membership, "room_name": n.RoomName,
		"room_alias": n.RoomAlias, "sender_display_name": n.SenderDisplayName,
	}
	maps.DeleteFunc(own, func(_ string, value any) bool { return value == "" })
	maps.Copy(members, own)
	if n.UserIsTarget {
		members["user_is_target"] = true
	}
	if n.Counts.Unread != nil {
		members["unread"] = *n.Counts.Unread
	}
	if n.Counts.MissedCalls != nil {
		members["missed_calls"] = *n.Counts.MissedCalls
	}
	if len(content) > 0 {
		members["content"] = content
	}
	return members
}

// trimmedMap is [trim], which decodes only texts that may be too long.
func trimmedMap(content json.RawMessage) map[string]json.RawMessage {
	members, _ := clientjson.Members(content)
	delete(members, "formatted_body")
	if text := []rune(clientjson.String(content, "body")); len(text) > maxText {
		members["body"] = clientjson.Marshal(string(text[:maxText-1]) + "…")
	}
	if len(clientjson.String(content, "ciphertext")) > maxCiphertext {
		delete(members, "ciphertext")
	}
	return members
}
