package stanza

import (
	"strconv"
	"strings"
)

// Fault is why a push cannot be understood. It is a word from a small fixed set, for metrics.
type Fault string

// The faults of a [Publish].
const (
	// FaultPublish: the pubsub request has not exactly one publish.
	FaultPublish Fault = "publish"
	// FaultNotification: the publish has no notification of XEP-0357.
	FaultNotification Fault = "notification"
)

// Publish is a push for one device, XEP-0357 section 7.
type Publish struct {
	Header
	// Fault is why the publish cannot be understood; empty if it can. Whatever it is, the sender must not be taken for wrong: the server
	// might use a form that this package misreads.
	Fault Fault
	// Node is the node that the client gave to its server; empty if there is none.
	Node string
	// Options are the fields that the client gave to its server, such as "secret" and "pushModule". Any field may be there.
	Options Form
	// Summary is what the server tells about the messages.
	Summary Summary
	// Encrypted is the message for the device only, Tigase's extension; nil if there is none.
	Encrypted *Encrypted
	// Priority is Tigase's extension: "high", "low" or empty. Prosody's module leaves a low priority out.
	Priority string
}

// Summary is the form of XEP-0357. Servers differ in what they fill in: Prosody always counts one message, ejabberd none.
type Summary struct {
	MessageCount int
	// LastSender and LastBody are empty or a constant at most servers. An operator can choose that they are the real ones.
	LastSender string
	LastBody   string
}

// Encrypted is what only the device can read: AES-128-GCM with a key that the client shares with its server.
type Encrypted struct {
	// Data and IV are base64.
	Data, IV string
	// Type is "voip" for a call, and else empty.
	Type string
}

// Important reports whether the push should reach the user at once: for a message with a body, and for a call. An ejabberd server sends
// calls like unimportant pushes, so nothing can recognise these.
func (p *Publish) Important() bool {
	return p.Summary.LastBody != "" || p.Priority == "high" || p.Encrypted != nil && p.Encrypted.Type == "voip"
}

func parsePublish(h Header, iq *element) *Publish {
	p := &Publish{Header: h}
	pubsub := iq.child(nsPubsub, "pubsub")
	publishes := pubsub.all(nsPubsub, "publish")
	if len(publishes) != 1 {
		p.Fault = FaultPublish
		return p
	}
	p.Node = publishes[0].attr("node")
	p.Options = publishOptions(iq, pubsub)
	notification := publishes[0].child(nsPubsub, "item").child(nsPush, "notification")
	if notification == nil {
		p.Fault = FaultNotification
		return p
	}
	if form := formIn(notification, nsSummary); form != nil {
		p.Summary = Summary{
			MessageCount: count(form["message-count"]),
			LastSender:   form["last-message-sender"],
			LastBody:     form["last-message-body"],
		}
	}
	if e := notification.child(nsTigaseEncrypt, "encrypted"); e != nil {
		p.Encrypted = &Encrypted{Data: strings.TrimSpace(string(e.text)), IV: e.attr("iv"), Type: e.attr("type")}
	}
	if e := notification.child(nsTigasePriority, "priority"); e != nil {
		p.Priority = strings.TrimSpace(string(e.text))
	}
	return p
}

// publishOptions finds the options beside the publish, or beside the pubsub element, as in early versions of XEP-0357.
func publishOptions(iq, pubsub *element) Form {
	for _, options := range []*element{
		pubsub.child(nsPubsub, "publish-options"),
		iq.child(nsPubsub, "publish-options"),
		iq.child(iq.name.Space, "publish-options"),
	} {
		if form := formIn(options, nsPublishOptions); form != nil {
			return form
		}
	}
	return nil
}

// count returns a number that is not negative, and 0 for everything else.
func count(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
