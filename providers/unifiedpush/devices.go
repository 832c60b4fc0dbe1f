package unifiedpush

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// toldDevice is what a message contains about its device, in the protocol's form: never the pushkey.
type toldDevice struct {
	AppID     string          `json:"app_id"`
	PushkeyTS int64           `json:"pushkey_ts,omitempty"` // seconds
	Data      any             `json:"data,omitempty"`
	Tweaks    json.RawMessage `json:"tweaks,omitempty"`
}

// account is how a client with several accounts, which may share one endpoint, recognises the right one.
type account struct {
	// ClientName is FluffyChat's (clientName in https://github.com/krille-chan/fluffychat/blob/main/lib/utils/push_helper.dart). Without
	// it, FluffyChat uses its first account.
	ClientName string `json:"client_name,omitempty"`
	// DefaultPayload has Sable's user_id.
	DefaultPayload *accountPayload `json:"default_payload,omitempty"`
}

type accountPayload struct {
	UserID string `json:"user_id"`
}

// devicesOf returns lists of the one device, richest first: with all public members of its data, if all is true, and with only what
// identifies the account. There is none without data, since clients need it to recognise themselves.
func devicesOf(d *providers.Device, all bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if all {
			if list := publicList(d); list != nil && !yield(list) {
				return
			}
		}
		if list := accountList(d); list != nil {
			yield(list)
		}
	}
}

// publicList returns the list with all public members of the device's data; nil if there are none.
func publicList(d *providers.Device) []byte {
	public := publicOf(d.Data)
	if len(public) == 0 {
		return nil
	}
	return clientjson.Marshal([]toldDevice{{AppID: d.AppID, PushkeyTS: d.PushkeyTS / 1000, Data: public, Tweaks: tweaksOf(d)}})
}

// accountList returns the list with only what identifies the account; nil if nothing does.
func accountList(d *providers.Device) []byte {
	a := accountOf(d.Data)
	if a == (account{}) {
		return nil
	}
	return clientjson.Marshal([]toldDevice{{AppID: d.AppID, Data: a}})
}

// accountOf returns what the data says about an account: only strings, since these clients register nothing else.
func accountOf(data json.RawMessage) (a account) {
	if !lenient.MayHave(data, `"client_name"`, `"user_id"`) {
		return a
	}
	var registered struct {
		ClientName     json.RawMessage `json:"client_name"`
		DefaultPayload json.RawMessage `json:"default_payload"`
	}
	_ = lenient.Unmarshal(data, &registered) // anything but an object has neither
	a.ClientName = text(registered.ClientName)
	if user := text(lenient.Value(registered.DefaultPayload, "user_id")); user != "" {
		a.DefaultPayload = &accountPayload{user}
	}
	return a
}

// text returns a value that is a text.
func text(value json.RawMessage) (text string) {
	if len(value) > 0 && value[0] == '"' {
		_ = lenient.Unmarshal(value, &text)
	}
	return text
}

// secret are members of the data that a message never has, in any case of letters: keys, since anyone who has them can write messages in
// the gateway's name, and the endpoint, by any name. The gateway's url is left out too, since the client has no use for it.
var secret = []string{"auth", "p256dh", "keys", "pushkey", "endpoint"}

func isSecret(name string) bool {
	return slices.ContainsFunc(secret, func(s string) bool { return strings.EqualFold(name, s) })
}

// publicOf returns the public members of the data. A member that contains a secret one anywhere, such as a whole subscription, is left out;
// of a default_payload, the part that identifies the account stays.
func publicOf(data json.RawMessage) map[string]json.RawMessage {
	public, _ := clientjson.Members(data)
	for name, value := range public {
		if isSecret(name) || name == "url" || hasSecret(value) {
			delete(public, name)
		}
	}
	if public["default_payload"] == nil {
		if a := accountOf(data); a.DefaultPayload != nil {
			public["default_payload"] = clientjson.Marshal(a.DefaultPayload)
		}
	}
	return public
}

// hasSecret reports whether a value contains a secret member.
func hasSecret(value json.RawMessage) bool {
	if len(value) == 0 || value[0] != '{' && value[0] != '[' {
		return false
	}
	var decoded any
	return lenient.Unmarshal(value, &decoded) != nil || hasSecretIn(decoded)
}

func hasSecretIn(decoded any) bool {
	switch v := decoded.(type) {
	case map[string]any:
		for name, inner := range v {
			if isSecret(name) || hasSecretIn(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasSecretIn)
	}
	return false
}

// tweaksOf returns the device's tweaks, nil if there are none. FluffyChat's parser throws on a sound that is not a string.
func tweaksOf(d *providers.Device) json.RawMessage {
	var known struct {
		Sound *string `json:"sound"`
	}
	if members, ok := clientjson.Members(d.Tweaks); !ok || len(members) == 0 || lenient.Unmarshal(d.Tweaks, &known) != nil {
		return nil
	}
	return d.Tweaks
}

// withDevices returns a message with a list of devices as the notification's last member.
func withDevices(form, devices []byte) []byte {
	const end = `}}`
	inside := bytes.TrimSuffix(form, []byte(end))
	whole := make([]byte, 0, len(form)+len(`,"devices":`)+len(devices))
	whole = append(whole, inside...)
	if !bytes.HasSuffix(inside, []byte("{")) {
		whole = append(whole, ',')
	}
	whole = append(whole, `"devices":`...)
	whole = append(whole, devices...)
	return append(whole, end...)
}
