package stanza

import (
	"crypto/sha1" //nolint:gosec // the hash that the clients of p2 expect, not a protection
	"encoding/hex"
	"strings"
)

// splitJID returns the parts of an address, RFC 7622 section 3.2. The domain is in lower case and without a dot at its end.
func splitJID(jid string) (local, domain, resource string) {
	jid, resource, _ = strings.Cut(jid, "/")
	if at := strings.IndexByte(jid, '@'); at >= 0 {
		local, jid = jid[:at], jid[at+1:]
	}
	return local, strings.ToLower(strings.TrimSuffix(jid, ".")), resource
}

// Bare returns an address without its resource.
func Bare(jid string) string {
	bare, _, _ := strings.Cut(jid, "/")
	return bare
}

// P2Hash returns the value by which the clients of p2, such as Conversations, recognise an account or a room on a device: the hex SHA-1 of
// the bare address, a zero byte, and the id of the device.
func P2Hash(bare, device string) string {
	sum := sha1.Sum([]byte(bare + "\x00" + device)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}
