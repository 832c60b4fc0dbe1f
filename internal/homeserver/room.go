package homeserver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// inRoom returns the path of something in a room.
func inRoom(roomID string, parts ...string) string {
	path := "/v3/rooms/" + url.PathEscape(roomID)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// Event returns an event of a room unchanged.
func (c *Client) Event(ctx context.Context, roomID, eventID string) (json.RawMessage, error) {
	return c.call(ctx, http.MethodGet, inRoom(roomID, "event", eventID), nil, nil)
}

// State returns the content of a room's state.
func (c *Client) State(ctx context.Context, roomID, eventType, stateKey string) (json.RawMessage, error) {
	return c.call(ctx, http.MethodGet, inRoom(roomID, "state", eventType, stateKey), nil, nil)
}

// StateEvent returns a room's state as an event. If the homeserver can only send the content, the event has no sender.
func (c *Client) StateEvent(ctx context.Context, roomID, eventType, stateKey string) (json.RawMessage, error) {
	var event struct {
		Type    string          `json:"type"`
		Content json.RawMessage `json:"content"`
	}
	query := url.Values{"format": {"event"}}
	raw, err := c.ask(ctx, http.MethodGet, inRoom(roomID, "state", eventType, stateKey), query, nil, &event)
	if err != nil || event.Type == eventType && event.Content != nil {
		return raw, err
	}
	return json.Marshal(map[string]any{"type": eventType, "state_key": stateKey, "room_id": roomID, "content": raw})
}

// JoinedMembers returns how many members a room has.
func (c *Client) JoinedMembers(ctx context.Context, roomID string) (int, error) {
	path := inRoom(roomID, "joined_members")
	var answer struct {
		Joined map[string]json.RawMessage `json:"joined"`
	}
	if _, err := c.ask(ctx, http.MethodGet, path, nil, nil, &answer); err != nil {
		return 0, err
	}
	if answer.Joined == nil {
		return 0, c.unexpected("GET /_matrix/client" + path)
	}
	return len(answer.Joined), nil
}
