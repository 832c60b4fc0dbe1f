package homeserver

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
)

// The functions of this file change something at the homeserver.

// SetPusher creates or replaces a pusher. The body is as the specification of POST /pushers/set describes it.
func (c *Client) SetPusher(ctx context.Context, pusher any) error {
	_, err := c.call(ctx, http.MethodPost, "/v3/pushers/set", nil, pusher)
	return err
}

// DeletePusher deletes one of the user's pushers.
func (c *Client) DeletePusher(ctx context.Context, appID, pushkey string) error {
	return c.SetPusher(ctx, map[string]any{"kind": nil, "app_id": appID, "pushkey": pushkey})
}

// CreateRoom creates a room. The body is as the specification of POST /createRoom describes it.
func (c *Client) CreateRoom(ctx context.Context, options any) (roomID string, err error) {
	const path = "/v3/createRoom"
	var answer struct {
		RoomID string `json:"room_id"`
	}
	if _, err := c.ask(ctx, http.MethodPost, path, nil, options, &answer); err != nil {
		return "", err
	}
	if answer.RoomID == "" {
		return "", c.unexpected("POST /_matrix/client" + path)
	}
	return answer.RoomID, nil
}

// Send sends an event to a room.
func (c *Client) Send(ctx context.Context, roomID, eventType string, content any) (eventID string, err error) {
	path := inRoom(roomID, "send", eventType, rand.Text())
	var answer struct {
		EventID string `json:"event_id"`
	}
	if _, err := c.ask(ctx, http.MethodPut, path, nil, content, &answer); err != nil {
		return "", err
	}
	if answer.EventID == "" {
		return "", c.unexpected("PUT /_matrix/client" + path)
	}
	return answer.EventID, nil
}

// ReadPrivately sends a read receipt that only the user's own devices see.
func (c *Client) ReadPrivately(ctx context.Context, roomID, eventID string) error {
	return c.change(ctx, inRoom(roomID, "receipt", "m.read.private", eventID), struct{}{})
}

// Join joins a room that the user is invited to.
func (c *Client) Join(ctx context.Context, roomID string) error {
	return c.change(ctx, "/v3/join/"+url.PathEscape(roomID), struct{}{})
}

// Leave leaves a room.
func (c *Client) Leave(ctx context.Context, roomID string) error {
	return c.change(ctx, inRoom(roomID, "leave"), struct{}{})
}

// Forget forgets a room that the user has left.
func (c *Client) Forget(ctx context.Context, roomID string) error {
	return c.change(ctx, inRoom(roomID, "forget"), struct{}{})
}

func (c *Client) change(ctx context.Context, path string, body any) error {
	_, err := c.call(ctx, http.MethodPost, path, nil, body)
	return err
}
