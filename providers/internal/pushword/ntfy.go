package pushword

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// readNtfy reads the code of {"code", "http", "error", "link"}: the status is in http, and the code has it in front of two digits. Source:
// server/errors.go in https://github.com/binwiederhier/ntfy.
//
// All codes of a status mean what the status does: 41301 and 41302 too large, 42901 requests, 42905 bandwidth, 42908
// messages a day, 42909 failed logins, 50701 nobody to charge the message to. Only 404 is not what it is elsewhere.
func readNtfy(s *said) (reading, bool) {
	code, ok := s.number("code")
	status, hasStatus := s.number("http")
	_, hasError := s.string("error")
	if !ok || !hasStatus || !hasError || status != s.Status || code/100 != status {
		return reading{}, false
	}
	word := strconv.Itoa(code)
	switch status {
	case http.StatusBadRequest: // 40009, 40010: a topic that it does not take; 40019: its Matrix gateway's
		return decided(word, refused()), true
	case http.StatusNotFound:
		// 40401: there are no topics at such a path. That is how ntfy or the proxy in front of it is set up. A topic is not registered, so
		// that none can be dead.
		return decided(word, providers.Misconfigured("no_such_page", errors.New("ntfy has no topics at the endpoint's path"))), true
	default:
		return reading{word: word}, true
	}
}
