package admin

import "encoding/json"

// TestPush is a test notification for one device.
type TestPush struct {
	AppID, Pushkey string
	// Data is the pusher's data; empty if it has none.
	Data json.RawMessage
	// Site is where the notification seems to arrive; empty for the default.
	Site string
	// EventID, RoomID and Body replace the default content. They cannot be used with Badge.
	EventID, RoomID, Body string
	// Badge sends a badge update instead of an event, and Low sends it with low priority.
	Badge, Low bool
}

// Message returns the body of a request to send the test notification.
func (t TestPush) Message() map[string]any {
	device := map[string]any{"app_id": t.AppID, "pushkey": t.Pushkey}
	if len(t.Data) > 0 {
		device["data"] = t.Data
	}
	n := map[string]any{"devices": []any{device}}
	if t.Badge {
		for _, member := range []string{"event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "content"} {
			n[member] = nil
		}
	}
	for member, value := range map[string]string{"event_id": t.EventID, "room_id": t.RoomID} {
		if value != "" {
			n[member] = value
		}
	}
	if t.Body != "" {
		n["content"] = map[string]string{"msgtype": "m.text", "body": t.Body}
	}
	if t.Low {
		n["prio"] = "low"
	}
	message := map[string]any{"notification": n}
	if t.Site != "" {
		message["site"] = t.Site
	}
	return message
}
