package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// client is the raw HTTP/2 client. It has one connection to each host. net/http would open one for each request that finds none.
type client struct {
	setup
	lines map[string]*line // by the host and port of a URL
}

// newPusher returns the pusher for the measured provider.
func newPusher(dir string) (pusher, error) {
	c := &client{lines: make(map[string]*line)}
	if err := c.setup.read(dir); err != nil {
		return nil, err
	}
	roots, err := trusted(dir)
	if err != nil {
		return nil, err
	}
	for _, origin := range c.Origins {
		host := strings.TrimPrefix(origin, "https://")
		c.lines[host] = newLine(host, "127.0.0.1", roots)
	}
	switch c.Provider {
	case apns:
		bearer, err := sign(dir, keyID, map[string]any{"iss": teamID, "iat": time.Now().Unix()})
		return c.apns("bearer " + bearer), err
	case fcm:
		return c.fcm, nil
	case unifiedpush:
		return c.unifiedpush, nil
	case webpush:
		tokens, err := vapidTokens(dir, c.Origins)
		return c.webpush(tokens), err
	default: // the answer for a pushkey that is known to be dead
		return func(*http.Request, *notification, *device) (int, error) { return http.StatusGone, nil }, nil
	}
}

// post makes the request.
func (c *client) post(r *http.Request, url string, header http.Header, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	header["User-Agent"] = []string{"caddy-matrix-push"}
	req.Header = header
	to, ok := c.lines[req.URL.Host]
	if !ok {
		return 0, errors.New("no such push service")
	}
	resp, err := to.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	return resp.StatusCode, nil
}

func (c *client) apns(authorization string) pusher {
	type aps struct {
		Badge int64 `json:"badge"`
	}
	return func(r *http.Request, n *notification, d *device) (int, error) {
		var message struct {
			APS         any    `json:"aps"`
			EventID     string `json:"event_id,omitempty"`
			RoomID      string `json:"room_id,omitempty"`
			UnreadCount *int64 `json:"unread_count,omitempty"`
		}
		if n.badge() {
			message.APS = aps{*n.Counts.Unread}
		} else {
			var data struct {
				Default struct {
					APS json.RawMessage `json:"aps"`
				} `json:"default_payload"`
			}
			if err := json.Unmarshal(d.Data, &data); err != nil {
				return 0, err
			}
			message.APS, message.EventID, message.RoomID, message.UnreadCount = data.Default.APS, n.EventID, n.RoomID, n.Counts.Unread
		}
		return c.post(r, c.Origins[0]+"/3/device/"+d.Pushkey, http.Header{
			"Apns-Topic": {topic}, "Apns-Push-Type": {"alert"}, "Apns-Priority": {"10"},
			"Apns-Expiration": {strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10)}, "Apns-Id": {uuid.NewString()},
			"Content-Type": {"application/json"}, "Authorization": {authorization},
		}, marshal(message))
	}
}

func (c *client) fcm(r *http.Request, n *notification, d *device) (int, error) {
	type android struct {
		CollapseKey string `json:"collapse_key,omitempty"`
		Priority    string `json:"priority"`
		TTL         string `json:"ttl"`
	}
	type message struct {
		Android android           `json:"android"`
		Data    map[string]string `json:"data"`
		Token   string            `json:"token"`
	}
	m := message{android{"", "high", "86399s"}, map[string]string{"prio": n.Prio, "unread": strconv.FormatInt(*n.Counts.Unread, 10)}, d.Pushkey}
	if n.badge() {
		m.Android = android{"badge", "normal", "86399s"}
		m.Data["prio"] = "high"
	} else {
		m.Data["event_id"], m.Data["room_id"] = n.EventID, n.RoomID
	}
	return c.post(r, c.Origins[0]+"/v1/projects/"+project+"/messages:send", http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer " + accessToken},
		"X-Goog-Api-Format-Version": {"2"},
	}, marshal(map[string]message{"message": m}))
}

func (c *client) unifiedpush(r *http.Request, n *notification, d *device) (int, error) {
	type ids struct {
		EventID string  `json:"event_id,omitempty"`
		RoomID  string  `json:"room_id,omitempty"`
		Prio    string  `json:"prio"`
		Counts  *counts `json:"counts,omitempty"`
	}
	return c.post(r, d.Pushkey, pushHeader(n, d), marshal(map[string]ids{"notification": {n.EventID, n.RoomID, "high", &n.Counts}}))
}

// pushHeader returns the headers of RFC 8030.
func pushHeader(n *notification, d *device) http.Header {
	header := http.Header{
		"Content-Type": {"application/octet-stream"}, "Content-Encoding": {"aes128gcm"}, "Ttl": {"86399"}, "Urgency": {"high"},
	}
	if n.badge() {
		sum := sha256.Sum256(append([]byte("badge\x00"), d.Data...))
		header["Urgency"], header["Topic"] = []string{"low"}, []string{base64.RawURLEncoding.EncodeToString(sum[:24])}
	}
	return header
}

// marshal is json.Marshal without escapes of <, > and &.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // cannot fail for strings, numbers and JSON that was decoded before
	return bytes.TrimRight(b.Bytes(), "\n")
}
