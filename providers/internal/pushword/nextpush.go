package pushword

import (
	"mime"
	"net/http"
)

// readNextPush reads the answer of NextPush, Nextcloud's push server, for an endpoint that no longer exists: 404 with {"success": false}.
// Source: lib/Controller in https://codeberg.org/NextPush/uppush. Other servers may answer the same, so it must be the whole answer, with
// the Content-Type JSON that Nextcloud sends. During maintenance, Nextcloud answers with a page and a 503.
func readNextPush(s *said) (reading, bool) {
	kind, _, err := mime.ParseMediaType(s.Header.Get("Content-Type"))
	if s.Status != http.StatusNotFound || err != nil || kind != "application/json" {
		return reading{}, false
	}
	if len(s.object) != 1 || string(s.object["success"]) != "false" {
		return reading{}, false
	}
	return decided("", s.dead()), true
}
