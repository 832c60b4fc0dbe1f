package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // for Synapse's API
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// matrixUser is a user of Synapse, logged in.
type matrixUser struct {
	t        *testing.T
	hs       *synapse
	id       string
	password string
	token    string
}

// register makes a user with this display name and a unique id.
func (s *synapse) register(t *testing.T, name string) *matrixUser {
	t.Helper()
	u := &matrixUser{t: t, hs: s, password: rand.Text()}
	localpart := strings.ToLower(rand.Text())
	var answer struct {
		UserID string `json:"user_id"`
		Token  string `json:"access_token"`
	}
	u.call(http.MethodPost, "/register", map[string]any{
		"auth": map[string]any{"type": "m.login.dummy"}, "username": localpart, "password": u.password,
	}, &answer)
	u.id, u.token = answer.UserID, answer.Token
	canaries.note(aText, u.id)
	canaries.note(aText, name)
	u.call(http.MethodPut, "/profile/"+url.PathEscape(u.id)+"/displayname", map[string]any{"displayname": name}, nil)
	return u
}

// registerAdmin makes an administrator, https://element-hq.github.io/synapse/latest/admin_api/register_api.html.
func (s *synapse) registerAdmin(t *testing.T) *matrixUser {
	t.Helper()
	u := &matrixUser{t: t, hs: s}
	var answer struct {
		Nonce  string `json:"nonce"`
		UserID string `json:"user_id"`
		Token  string `json:"access_token"`
	}
	const path = "/_synapse/admin/v1/register"
	u.ask(http.MethodGet, path, nil, &answer)
	name, password := strings.ToLower(rand.Text()), rand.Text()
	mac := hmac.New(sha1.New, []byte(s.secret))
	mac.Write([]byte(strings.Join([]string{answer.Nonce, name, password, "admin"}, "\x00")))
	u.ask(http.MethodPost, path, map[string]any{
		"nonce": answer.Nonce, "username": name, "password": password, "admin": true, "mac": hex.EncodeToString(mac.Sum(nil)),
	}, &answer)
	u.id, u.token = answer.UserID, answer.Token
	return u
}

// call makes a request of the client-server API, and fails the test if it fails. It reads the answer into the pointer, unless that is nil.
func (u *matrixUser) call(method, path string, body, answer any) {
	u.t.Helper()
	u.ask(method, "/_matrix/client/v3"+path, body, answer)
}

// ask is like call, for any path.
func (u *matrixUser) ask(method, path string, body, answer any) {
	u.t.Helper()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(mustMarshal(body))
	}
	req, err := http.NewRequestWithContext(u.t.Context(), method, u.hs.url+path, reader)
	if err != nil {
		u.t.Fatal(err)
	}
	if u.token != "" {
		req.Header.Set("Authorization", "Bearer "+u.token)
	}
	client := &http.Client{Timeout: patience}
	resp, err := client.Do(req)
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		u.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(text, answer); err != nil {
		u.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

// room makes a room. Its members join without an invitation, which would be unread. Then the room becomes private, because nobody can call
// in a public room.
func (u *matrixUser) room(name string, members ...*matrixUser) (roomID string) {
	u.t.Helper()
	roomID = u.create(map[string]any{"name": name, "preset": "public_chat"})
	for _, member := range members {
		member.call(http.MethodPost, "/join/"+url.PathEscape(roomID), map[string]any{}, nil)
	}
	u.call(http.MethodPut, "/rooms/"+url.PathEscape(roomID)+"/state/m.room.join_rules", map[string]any{"join_rule": "invite"}, nil)
	return roomID
}

// invite invites a user to a new room.
func (u *matrixUser) invite(name string, guest *matrixUser) (roomID, eventID string) {
	u.t.Helper()
	roomID = u.create(map[string]any{"name": name, "preset": "private_chat", "invite": []string{guest.id}})
	var event struct {
		ID string `json:"event_id"`
	}
	u.call(http.MethodGet, "/rooms/"+url.PathEscape(roomID)+"/state/m.room.member/"+url.PathEscape(guest.id)+"?format=event", nil, &event)
	canaries.note(anEventID, event.ID)
	return roomID, event.ID
}

// create makes a room, with a name if it is not empty.
func (u *matrixUser) create(options map[string]any) (roomID string) {
	u.t.Helper()
	if options["name"] == "" {
		delete(options, "name")
	}
	var answer struct {
		RoomID string `json:"room_id"`
	}
	u.call(http.MethodPost, "/createRoom", options, &answer)
	canaries.sent(mustMarshal(map[string]any{"room_name": options["name"], "room_id": answer.RoomID}))
	return answer.RoomID
}

// send sends an event to a room.
func (u *matrixUser) send(roomID, eventType string, content map[string]any) (eventID string) {
	u.t.Helper()
	var answer struct {
		EventID string `json:"event_id"`
	}
	u.call(http.MethodPut, "/rooms/"+url.PathEscape(roomID)+"/send/"+url.PathEscape(eventType)+"/"+rand.Text(), content, &answer)
	canaries.sent(mustMarshal(map[string]any{"content": content, "event_id": answer.EventID}))
	return answer.EventID
}

// says sends a text to a room.
func (u *matrixUser) says(roomID, text string) (eventID string) {
	u.t.Helper()
	return u.send(roomID, "m.room.message", map[string]any{"msgtype": "m.text", "body": text})
}

// read sends a read receipt.
func (u *matrixUser) read(roomID, eventID string) {
	u.t.Helper()
	u.call(http.MethodPost, "/rooms/"+url.PathEscape(roomID)+"/receipt/m.read/"+url.PathEscape(eventID), map[string]any{}, nil)
}

// push registers a pusher for a device at a gateway.
func (u *matrixUser) push(d device, gateway string) {
	u.t.Helper()
	canaries.sent([]byte(compose(map[string]any{}, []device{d})))
	data := map[string]any{"url": gateway}
	maps.Copy(data, d.Data)
	u.call(http.MethodPost, "/pushers/set", map[string]any{
		"kind": "http", "app_id": d.AppID, "pushkey": d.Pushkey, "data": data,
		"app_display_name": "An app", "device_display_name": "A device", "lang": "en",
	}, nil)
}

// hasPusher reports whether there is a pusher for a device.
func (u *matrixUser) hasPusher(d device) bool {
	u.t.Helper()
	var answer struct {
		Pushers []device `json:"pushers"`
	}
	u.call(http.MethodGet, "/pushers", nil, &answer)
	return slices.ContainsFunc(answer.Pushers, func(p device) bool { return p.AppID == d.AppID && p.Pushkey == d.Pushkey })
}

// wantPusher wants a device to have its pusher still.
func (u *matrixUser) wantPusher(d device) {
	u.t.Helper()
	if !u.hasPusher(d) {
		u.t.Errorf("the pusher of %s is gone", d.AppID)
	}
}

// wantNoPusher waits until the pusher for a device is gone. Synapse removes it after reading the gateway's answer, without a notice, so the
// test asks again and again.
func (u *matrixUser) wantNoPusher(d device) {
	u.t.Helper()
	for deadline := time.Now().Add(patience); u.hasPusher(d); {
		if time.Now().After(deadline) {
			u.t.Fatalf("the pusher of %s is still there", d.AppID)
		}
	}
}
