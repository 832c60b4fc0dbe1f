package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// shapes are the kinds of notifications that homeservers send: a pusher's event_id_only, different events in full as Synapse sends them, and
// a badge update.
var shapes = []string{"ids", "text", "encrypted", "image", "long", "badge"}

// contents has the content of each kind of event. Members are sorted by name, so a server that sorts them changes nothing.
var contents = map[string]string{
	"text": `{"body":"Shall we meet at the station tomorrow, at about half past nine? The train leaves at 9:52 from platform 4.",` +
		`"m.mentions":{},"msgtype":"m.text"}`,
	"encrypted": `{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"` + strings.Repeat("AwgAEoABq3", 90) + `",` +
		`"device_id":"GHTYAJCEXX","sender_key":"` + strings.Repeat("x", 43) + `","session_id":"` + strings.Repeat("y", 43) + `"}`,
	"image": `{"body":"IMG_20240501_184512.jpg","info":{"h":3024,"mimetype":"image/jpeg","size":2893011,"thumbnail_info":` +
		`{"h":600,"mimetype":"image/jpeg","size":64211,"w":800},"thumbnail_url":"mxc://example.org/` + strings.Repeat("t", 24) +
		`","w":4032,"xyz.amorgan.blurhash":"LKO2?U%2Tw=w]~RBVZRi};RPxuwH"},"msgtype":"m.image","url":"mxc://example.org/` + strings.Repeat("u", 24) + `"}`,
	"long": `{"body":"` + strings.Repeat("A long message, with one sentence after another. ", 160) + `","format":"org.matrix.custom.html",` +
		`"formatted_body":"<p>` + strings.Repeat("A long message, with one sentence after another. ", 160) + `</p>","msgtype":"m.text"}`,
}

// bodies makes the bodies of notify requests. Each is for a new event, since the gateway does not deliver an event twice, and for the next
// devices.
type bodies struct {
	head, tail string
	devices    []string
	each       int
}

// newBodies returns the bodies for the options and the push service's origins.
func newBodies(o *options, origins []string) (*bodies, error) {
	b := &bodies{each: o.Devices}
	event := `{"notification":{"event_id":"$`
	room := `","room_id":"!OGEhHVWSdvArJzumhm:example.org",`
	switch o.Body {
	case "badge":
		b.head, b.tail = `{"notification":{`, ""
	case "ids":
		b.head, b.tail = event, room
	default:
		kind := "m.room.message"
		if o.Body == "encrypted" {
			kind = "m.room.encrypted"
		}
		b.head, b.tail = event, room+`"type":"`+kind+`","sender":"@alice:example.org","sender_display_name":"Alice Example",`+
			`"room_name":"Trip to the sea","room_alias":"#trip:example.org","content":`+contents[o.Body]+`,`
	}
	b.tail += `"prio":"high",`
	for i := range o.Population {
		d, err := newDevice(o.Provider, i, origins[i%len(origins)])
		if err == nil && o.Device != "" {
			d, err = withMembers(d, o.Device)
		}
		if err != nil {
			return nil, err
		}
		b.devices = append(b.devices, d)
	}
	return b, nil
}

// next returns the nth body.
func (b *bodies) next(n int64) []byte {
	body := make([]byte, 0, len(b.head)+len(b.tail)+512*b.each)
	body = append(body, b.head...)
	if strings.HasSuffix(b.head, "$") {
		body = fmt.Appendf(body, "%043d", n)
	}
	body = append(body, b.tail...)
	body = append(body, `"counts":{"unread":`...)
	body = strconv.AppendInt(body, n%50+1, 10)
	body = append(body, `},"devices":[`...)
	for i := range b.each {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, b.devices[(int(n)*b.each+i)%len(b.devices)]...)
	}
	return append(body, "]}}"...)
}

// pushkeyTS is when the devices registered, in seconds, as Synapse sends it.
const pushkeyTS = 1655896032

// apnsPushkey returns the pushkey of the nth Apple device.
func apnsPushkey(n int) string { return fmt.Sprintf("%064x", n+1) }

// pushkey returns the pushkey of the ith device, unless the provider is webpush, whose pushkeys are random.
func pushkey(provider string, i int, origin string) string {
	switch provider {
	case fcm:
		return fmt.Sprintf("cIxQy7ZbT0mVmQzv6Yy%03d:APA91b%s%06d", i%1000, strings.Repeat("Hk3", 42), i)
	case unifiedpush:
		return fmt.Sprintf("%s/up/%016d?up=1", origin, i)
	case webpush:
		return ""
	}
	return apnsPushkey(i)
}

// newDevice returns a device as JSON.
func newDevice(provider string, i int, origin string) (string, error) {
	type data map[string]any
	d := struct {
		AppID     string            `json:"app_id"`
		Pushkey   string            `json:"pushkey"`
		PushkeyTS int64             `json:"pushkey_ts"`
		Data      data              `json:"data"`
		Tweaks    map[string]string `json:"tweaks"`
	}{appID, pushkey(provider, i, origin), pushkeyTS, data{"format": "event_id_only"}, map[string]string{"sound": "default"}}
	switch provider {
	case fcm, unifiedpush:
	case webpush:
		key, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			return "", err
		}
		var auth [16]byte
		_, _ = rand.Read(auth[:]) // never fails, see its documentation
		d.Pushkey = base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes())
		d.Data = data{"endpoint": fmt.Sprintf("%s/webpush/%032d", origin, i), "auth": base64.RawURLEncoding.EncodeToString(auth[:])}
	default:
		d.Data = data{"default_payload": data{"aps": data{
			"alert": data{"loc-args": []string{}, "loc-key": "Notification"}, "mutable-content": 1,
		}}}
	}
	text, err := json.Marshal(d)
	return string(text), err
}

// withMembers adds members to a device, or replaces them.
func withMembers(device, members string) (string, error) {
	var all map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal([]byte(device), &all), json.Unmarshal([]byte(members), &all)); err != nil {
		return "", err
	}
	text, err := json.Marshal(all)
	return string(text), err
}
