package pushword

import (
	"mime"
	"net/http"
)

// readNextPush reads the answer of NextPush, Nextcloud's push server, for an endpoint that is no more: 404 with {"success": false}. Source:
// lib/Controller in https://codeberg.org/NextPush/uppush. Others may say that as well, so it must be all that there is, and JSON by its
// Content-Type, as Nextcloud sends it; what Nextcloud says while it is being maintained is a page, with a 503.
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
