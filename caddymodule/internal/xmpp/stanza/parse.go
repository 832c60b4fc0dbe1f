package stanza

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strings"
)

// errMalformed is returned for XML that is not well-formed, or not allowed in a stream. The error of the XML decoder would contain parts of
// the stanza.
var errMalformed = errors.New("the stanza is not well-formed, or has a comment, a directive or a processing instruction")

// Stanza is one of the kinds that the package's documentation lists.
type Stanza interface {
	// head returns the stanza's addresses and id.
	head() *Header
}

// Header is what an answer repeats of a stanza.
type Header struct {
	// ID is the sender's id of the stanza. A [Push2] may have none.
	ID string
	// From is the sender's address, which the hosting server vouches for.
	From string
	// To is the address that the stanza was sent to, with a local part and a resource if the sender used them. An answer must come from
	// exactly this address: Prosody ignores any other.
	To string
}

// head returns the header itself.
func (h *Header) head() *Header { return h }

// Domain returns the domain of the sender's address, in lower case.
func (h *Header) Domain() string {
	_, domain, _ := splitJID(h.From)
	return domain
}

// FromServer reports whether the sender is a server. The address of a user or of a room has a local part, a resource or both.
func (h *Header) FromServer() bool { return !strings.ContainsAny(h.From, "@/") }

// Parse reads one stanza that was sent to the component with that domain. It returns nil without an error for a stanza that must not be
// answered: an answer, an error, presence, a message other than a push, or a stanza without the addresses that an answer needs. An error
// means that the XML is not well-formed, or not allowed in a stream. It contains nothing of the stanza.
func Parse(stanza []byte, domain string) (Stanza, error) {
	e, err := read(xml.NewDecoder(bytes.NewReader(stanza)))
	if err != nil {
		return nil, errMalformed
	}
	// The stream's header declares the namespace, so most stanzas don't.
	if e.name.Space != nsComponent && e.name.Space != "" {
		return nil, nil
	}
	h := Header{ID: e.attr("id"), From: e.attr("from"), To: e.attr("to")}
	// A component that sends from another domain than its own loses its stream.
	if _, to, _ := splitJID(h.To); to == "" || to != strings.ToLower(domain) || h.Domain() == "" {
		return nil, nil
	}
	switch e.name.Local {
	case "message":
		if notification := e.child(nsPush2, "notification"); notification != nil && e.attr("type") != "error" {
			return parsePush2(h, notification), nil
		}
	case "iq":
		if request := e.attr("type"); h.ID != "" && (request == "get" || request == "set") {
			return parseRequest(h, e, request == "set"), nil
		}
	}
	return nil, nil
}

func parseRequest(h Header, iq *element, set bool) Stanza {
	switch {
	case set && iq.child(nsPubsub, "pubsub") != nil:
		return parsePublish(h, iq)
	case set && iq.child(nsCommands, "command") != nil:
		return parseCommand(h, iq.child(nsCommands, "command"))
	case !set && iq.child(nsInfo, "query") != nil:
		return &Info{Header: h, Node: iq.child(nsInfo, "query").attr("node")}
	case !set && iq.child(nsItems, "query") != nil:
		return &Items{Header: h, Node: iq.child(nsItems, "query").attr("node")}
	case !set && iq.child(nsPing, "ping") != nil:
		return &Ping{h}
	}
	return &Unsupported{h}
}
