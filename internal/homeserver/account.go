package homeserver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// Account is whose token the client has.
type Account struct {
	UserID   string `json:"user_id"`
	DeviceID string `json:"device_id"`
}

// WhoAmI returns whose token the client has.
func (c *Client) WhoAmI(ctx context.Context) (*Account, error) {
	const path = "/v3/account/whoami"
	a := new(Account)
	if _, err := c.ask(ctx, http.MethodGet, path, nil, nil, a); err != nil {
		return nil, err
	}
	if a.UserID == "" {
		return nil, c.unexpected("GET /_matrix/client" + path)
	}
	return a, nil
}

// DisplayName returns a user's display name; empty if there is none.
func (c *Client) DisplayName(ctx context.Context, userID string) (string, error) {
	var answer struct {
		Name string `json:"displayname"`
	}
	_, err := c.ask(ctx, http.MethodGet, "/v3/profile/"+url.PathEscape(userID)+"/displayname", nil, nil, &answer)
	if NotFound(err) {
		return "", nil
	}
	return answer.Name, err
}

// Pusher is one of the user's pushers, https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushers.
type Pusher struct {
	AppID             string `json:"app_id"`
	Pushkey           string `json:"pushkey"`
	Kind              string `json:"kind"`
	DeviceDisplayName string `json:"device_display_name"`
	// Data is the pusher's data as the homeserver sends it, and Raw the pusher with all its members.
	Data json.RawMessage `json:"data"`
	Raw  json.RawMessage `json:"-"`
}

// Pushers returns the user's pushers.
func (c *Client) Pushers(ctx context.Context) ([]Pusher, error) {
	const path = "/v3/pushers"
	var answer struct {
		Pushers *[]json.RawMessage `json:"pushers"`
	}
	if _, err := c.ask(ctx, http.MethodGet, path, nil, nil, &answer); err != nil {
		return nil, err
	}
	if answer.Pushers == nil {
		return nil, c.unexpected("GET /_matrix/client" + path)
	}
	pushers := make([]Pusher, len(*answer.Pushers))
	for i, raw := range *answer.Pushers {
		if json.Unmarshal(raw, &pushers[i]) != nil {
			return nil, c.unexpected("GET /_matrix/client" + path)
		}
		pushers[i].Raw = raw
	}
	return pushers, nil
}

// PushRules returns the user's push rules unchanged: {"global": {…}}.
func (c *Client) PushRules(ctx context.Context) (json.RawMessage, error) {
	return c.call(ctx, http.MethodGet, "/v3/pushrules/", nil, nil)
}

// Notification is an event that notified the user.
type Notification struct {
	Read bool `json:"read"`
	// TS is when the event was sent, in milliseconds since 1970.
	TS int64 `json:"ts"`
}

// Notifications returns the user's latest notifications, newest first. Some homeservers have no such list: see NotFound.
func (c *Client) Notifications(ctx context.Context, limit int) ([]Notification, error) {
	var answer struct {
		Notifications []Notification `json:"notifications"`
	}
	_, err := c.ask(ctx, http.MethodGet, "/v3/notifications", url.Values{"limit": {strconv.Itoa(limit)}}, nil, &answer)
	slices.SortStableFunc(answer.Notifications, func(a, b Notification) int { return int(min(max(b.TS-a.TS, -1), 1)) })
	return answer.Notifications, err
}

// IgnoredUsers returns the users whom the user ignores.
func (c *Client) IgnoredUsers(ctx context.Context, userID string) ([]string, error) {
	raw, err := c.call(ctx, http.MethodGet, "/v3/user/"+url.PathEscape(userID)+"/account_data/m.ignored_user_list", nil, nil)
	switch {
	case NotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var list struct {
		Users map[string]json.RawMessage `json:"ignored_users"`
	}
	_ = json.Unmarshal(raw, &list) // a list of another form ignores nobody
	users := make([]string, 0, len(list.Users))
	for user := range list.Users {
		users = append(users, user)
	}
	slices.Sort(users)
	return users, nil
}
