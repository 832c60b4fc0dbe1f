package stanza

import "bytes"

// The features that a push service can announce.
const (
	FeatureCommands   = nsCommands
	FeaturePush       = nsPush
	FeaturePush2      = nsPush2
	FeatureEncryption = nsTigaseEncrypt
	// FeatureTigaseAPNs is the feature by which Siskin finds a push service for itself. It is also its name of the push service.
	FeatureTigaseAPNs = "tigase:messenger:apns:1"
)

// Info asks for identity and features, XEP-0030.
type Info struct {
	Header
	// Node is a part of the service; empty for the service itself.
	Node string
}

// Answer announces a push service, XEP-0357 section 4.2, with these features and those that every component here has. A part of the service
// does not exist.
func (i *Info) Answer(features ...string) []byte {
	if i.Node != "" {
		return i.fail(gone, "")
	}
	return i.result(func(b *bytes.Buffer) {
		open(b, "query", "xmlns", nsInfo)
		b.WriteByte('>')
		open(b, "identity", "category", "pubsub", "type", "push")
		b.WriteString("/>")
		for _, feature := range append([]string{nsInfo, nsItems, nsPing}, features...) {
			open(b, "feature", "var", feature)
			b.WriteString("/>")
		}
		b.WriteString("</query>")
	})
}

// Items asks for the items of a service, XEP-0030.
type Items struct {
	Header
	// Node is a part of the service; empty for the service itself.
	Node string
}

// Answer returns an empty list. A part of the service does not exist.
func (i *Items) Answer() []byte {
	if i.Node != "" {
		return i.fail(gone, "")
	}
	return i.result(func(b *bytes.Buffer) {
		open(b, "query", "xmlns", nsItems)
		b.WriteString("/>")
	})
}

// Ping asks for a sign of life, XEP-0199.
type Ping struct{ Header }

// Answer returns the sign of life.
func (p *Ping) Answer() []byte { return p.result(nil) }

// Unsupported is a request that a push service does not know.
type Unsupported struct{ Header }

// Answer refuses the request, RFC 6120 section 8.4.
func (u *Unsupported) Answer() []byte { return u.fail(unsupported, "") }
