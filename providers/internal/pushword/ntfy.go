package pushword

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// readNtfy reads the code in {"code", "http", "error", "link"}: http is the status, and code is the status followed by two digits. Source:
// server/errors.go in https://github.com/binwiederhier/ntfy.
//
// All codes of a status mean what the status means: 41301 and 41302 too large, 42901 requests, 42905 bandwidth, 42908 messages a day, 42909
// failed logins, 50701 nobody to charge the message to. Only a 404 means something else than elsewhere.
func readNtfy(s *said) (reading, bool) {
	code, ok := s.number("code")
	status, hasStatus := s.number("http")
	_, hasError := s.string("error")
	if !ok || !hasStatus || !hasError || status != s.Status || code/100 != status {
		return reading{}, false
	}
	word := strconv.Itoa(code)
	switch status {
	case http.StatusBadRequest: // 40009, 40010: an invalid topic; 40019: from its Matrix gateway
		return decided(word, refused()), true
	case http.StatusNotFound:
		// 40401: there are no topics at such a path, because of how ntfy or the proxy in front of it is set up. Topics are not registered,
		// so none can be dead.
		return decided(word, providers.Misconfigured("no_such_page", errors.New("ntfy has no topics at the endpoint's path"))), true
	default:
		return reading{word: word}, true
	}
}
