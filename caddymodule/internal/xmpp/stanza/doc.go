// Package stanza reads the stanzas that an XMPP server sends to a push service, and writes the answers. It knows nothing of the stream that
// carries them, of Caddy, or of the engine that sends the pushes.
//
// Parse returns one of these kinds, or nil for a stanza that must not be answered:
//
//	*Publish      a push for a device, XEP-0357, with Tigase's extensions
//	*Push2        a push for a device, Push 2.0 (urn:xmpp:push2:0)
//	*Command      an ad-hoc command, XEP-0050, with which clients register
//	*Info         a question for the features, XEP-0030 (disco#info)
//	*Items        a question for the items, XEP-0030 (disco#items)
//	*Ping         XEP-0199
//	*Unsupported  any other request
//
// # The answer to a publish
//
// A server keeps or deletes a device's registration by the answer to a publish, and it never repeats a publish. ejabberd deletes a
// registration at the first error whose type is not wait. Tigase looks only at the condition, and keeps a registration at
// remote-server-timeout. So a [Verdict] is all that [Publish.Answer] takes: it cannot write any other error.
//
// # Namespaces
//
// Every element is matched by its name and its namespace, and an attribute counts only if it has no prefix. Strangers write most of a
// stanza: with encoding/xml's struct tags, the attribute x:from would count as from, which the server vouches for.
package stanza

// The namespaces that a component meets.
const (
	nsComponent      = "jabber:component:accept"
	nsStanzas        = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsForm           = "jabber:x:data"
	nsPubsub         = "http://jabber.org/protocol/pubsub"
	nsPublishOptions = "http://jabber.org/protocol/pubsub#publish-options"
	nsPush           = "urn:xmpp:push:0"
	nsSummary        = "urn:xmpp:push:summary"
	nsTigaseEncrypt  = "tigase:push:encrypt:0"
	nsTigasePriority = "tigase:push:priority:0"
	nsPush2          = "urn:xmpp:push2:0"
	nsPush2Encrypted = "urn:xmpp:sce:rfc8291:0"
	nsCommands       = "http://jabber.org/protocol/commands"
	nsInfo           = "http://jabber.org/protocol/disco#info"
	nsItems          = "http://jabber.org/protocol/disco#items"
	nsPing           = "urn:xmpp:ping"
)
