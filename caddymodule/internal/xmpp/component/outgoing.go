package component

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strings"
)

// The faults for which a stanza is not sent. XEP-0114 section 3 requires both addresses: a server may end the stream without them.
var (
	errNotAStanza = errors.New("component: not one well-formed stanza")
	errFrom       = errors.New("component: from is not in the component's domain")
	errTo         = errors.New("component: to is missing")
)

// checkOutgoing returns an error if the server would end the stream because of a stanza. A fault in one answer then affects only that
// answer.
func checkOutgoing(stanza []byte, domain string) error {
	// XMPP forbids comments, DTDs and processing instructions (RFC 6120 section 11.1).
	if bytes.Contains(stanza, []byte("<!")) || bytes.Contains(stanza, []byte("<?")) {
		return errNotAStanza
	}
	d := xml.NewDecoder(bytes.NewReader(stanza))
	token, err := d.Token()
	root, ok := token.(xml.StartElement)
	if err != nil || !ok || !isStanza(root.Name.Local) || root.Name.Space != "" && root.Name.Space != Namespace {
		return errNotAStanza
	}
	if err := checkAddresses(root.Attr, domain); err != nil {
		return err
	}
	if err := d.Skip(); err != nil || d.InputOffset() != int64(len(stanza)) {
		return errNotAStanza
	}
	return nil
}

func checkAddresses(attributes []xml.Attr, domain string) error {
	var from, to string
	for _, a := range attributes {
		switch a.Name {
		case xml.Name{Local: "from"}:
			from = a.Value
		case xml.Name{Local: "to"}:
			to = a.Value
		}
	}
	if domainOf(from) != domain {
		return errFrom
	}
	if to == "" {
		return errTo
	}
	return nil
}

// domainOf returns the domain of a JID, which is local@domain/resource (RFC 7622 section 3.1).
func domainOf(jid string) string {
	bare, _, _ := strings.Cut(jid, "/")
	if _, domain, ok := strings.Cut(bare, "@"); ok {
		return domain
	}
	return bare
}

// escape escapes a text for an attribute.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}
