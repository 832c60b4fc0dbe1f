package providertest

import (
	"errors"
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
)

// checkVAPID checks the Authorization header by RFC 8292. It shares no code with the gateway.
func (s *PushService) checkVAPID(r *http.Request, sub *Subscription, m *Message) (status int, violation string) {
	header := r.Header.Get("Authorization")
	if header == "" {
		// RFC 8292 section 4.2: a restricted subscription requires the token of its application server.
		if sub != nil && (s.options.RequireVAPID || sub.server != "") {
			return http.StatusUnauthorized, "VAPID: the Authorization header is missing"
		}
		return 0, ""
	}
	vapid, err := jwttest.ParseVAPID(header)
	var subject string
	if err == nil {
		subject, err = vapid.Verify(s.originOf(r), s.options.Now())
	}
	if err == nil && sub != nil && sub.server != "" && sub.server != vapid.Key {
		err = errors.New("k is not the key that the subscription was made for")
	}
	if err != nil {
		return http.StatusForbidden, "VAPID: " + err.Error()
	}
	m.VAPID, m.Subject = true, subject
	return 0, ""
}
