package stanza

import (
	"encoding/base64"
	"strings"
)

// The faults of a [Push2].
const (
	// FaultPayload: the payload is not base64, or empty.
	FaultPayload Fault = "payload"
	// FaultPayloadSize: the payload is larger than a push service takes.
	FaultPayloadSize Fault = "payload_size"
	// FaultJWT: the token is not a JWT with an audience and an expiry.
	FaultJWT Fault = "jwt"
	// FaultJWTKey: the token's key is not an uncompressed point of P-256.
	FaultJWTKey Fault = "jwt_key"
)

// maxPayload is the largest body that every push service takes, RFC 8030 section 7.2.
const maxPayload = 4096

// Push2 is a push for one device, Push 2.0. It is a message: success has no answer, and an error is a message of the type error.
type Push2 struct {
	Header
	// Fault is why the push cannot be sent; empty if it can.
	Fault Fault
	// Client is what the client gave to its server, an https URL of a push service; empty if there is none.
	Client string
	// Priority is "high", "normal" or "low".
	Priority string
	// VoIP reports a call.
	VoIP bool
	// Payload is the body of a push, RFC 8291, encrypted for the device; nil if there is none.
	Payload []byte
	// JWT identifies the sender at the push service; nil if the client asked for none.
	JWT *JWT
}

// Important reports whether the push should reach the user at once.
func (p *Push2) Important() bool { return p.VoIP || p.Priority != "low" }

func parsePush2(h Header, notification *element) *Push2 {
	p := &Push2{
		Header:   h,
		Client:   textOf(notification.child(nsPush2, "client")),
		Priority: textOf(notification.child(nsPush2, "priority")),
		VoIP:     notification.child(nsPush2, "voip") != nil,
	}
	if encrypted := notification.child(nsPush2Encrypted, "encrypted"); encrypted != nil {
		p.Payload, p.Fault = decodePayload(textOf(encrypted.child(nsPush2Encrypted, "payload")))
	}
	// The document and mod_push2 have the token beside the encrypted element, in the notification's namespace.
	if jwt := notification.child(nsPush2, "jwt"); jwt != nil && p.Fault == "" {
		p.JWT, p.Fault = parseJWT(textOf(jwt), jwt.attr("key"))
	}
	return p
}

func decodePayload(text string) ([]byte, Fault) {
	if len(text) > 2*maxPayload {
		return nil, FaultPayloadSize
	}
	payload, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil, len(payload) == 0:
		return nil, FaultPayload
	case len(payload) > maxPayload:
		return nil, FaultPayloadSize
	}
	return payload, ""
}

// textOf returns the text of an element without space around it; empty for nil.
func textOf(e *element) string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(string(e.text))
}
