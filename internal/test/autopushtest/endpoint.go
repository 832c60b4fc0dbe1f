package autopushtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// maxBody is the body size that a push service must accept (RFC 8030 section 7.2). This one accepts no more.
const maxBody = 4096

// Unavailable is autopush's answer while it has no database.
var Unavailable = refuse(http.StatusServiceUnavailable, 0, "Database error: Pool error").answer()

// refuse returns a refusal with autopush's words. An errno of 0 stands for none.
func refuse(status, errno int, message string) *Refusal { return &Refusal{status, errno, message} }

// answer returns the answer as autopush gives it.
func (r Refusal) answer() providertest.Answer {
	body := map[string]any{
		"code": r.Status, "errno": nil, "error": http.StatusText(r.Status), "message": r.Message,
		"more_info": "http://autopush.readthedocs.io/en/latest/http.html#error-codes",
	}
	if r.Errno != 0 {
		body["errno"] = r.Errno
	}
	encoded, _ := json.Marshal(body) //nolint:errchkjson // strings and numbers
	header := http.Header{"Content-Type": {"application/json"}}
	switch r.Status {
	case http.StatusGone:
		header.Set("Cache-Control", "max-age=86400")
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "120")
	}
	return providertest.Answer{Status: r.Status, Header: header, Body: string(encoded)}
}

// serveEndpoint receives a push.
func (s *Service) serveEndpoint(w http.ResponseWriter, r *http.Request) {
	sub, refusal := s.find(r)
	var m *message
	if refusal == nil {
		m, refusal = s.read(w, r)
	}
	if refusal != nil {
		s.mu.Lock()
		s.refusals = append(s.refusals, *refusal)
		s.change()
		s.mu.Unlock()
		refusal.answer().ServeHTTP(w, r)
		return
	}
	if answer := s.programmed(sub); answer != nil {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		answer.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	s.accept(sub, m)
	w.Header().Set("Location", s.Origin+"/m/"+m.version)
	w.Header().Set("TTL", m.Header.Get("TTL"))
	w.WriteHeader(http.StatusCreated)
}

// find returns the subscription of a request, in autopush's order: the URL, the key, and then whether the browser still has it.
func (s *Service) find(r *http.Request) (*subscription, *Refusal) {
	if r.Method != http.MethodPost {
		return nil, refuse(http.StatusMethodNotAllowed, 0, "Method not allowed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.subscriptions, func(sub *subscription) bool { return sub.Endpoint == s.Origin+r.URL.Path })
	if i < 0 {
		return nil, refuse(http.StatusNotFound, 102, "Invalid token")
	}
	sub := s.subscriptions[i]
	if sub.Key != "" {
		vapid, err := jwttest.ParseVAPID(r.Header.Get("Authorization"))
		switch {
		case r.Header.Get("Authorization") == "":
			return nil, refuse(http.StatusUnauthorized, 109, "Missing VAPID public key")
		case err != nil:
			return nil, unauthorized(err)
		case vapid.Key != sub.Key:
			return nil, refuse(http.StatusUnauthorized, 109, "VAPID public key mismatch")
		}
	}
	if _, known := s.users[sub.uaid]; !known {
		return nil, refuse(http.StatusGone, 103, "UAID not found")
	}
	if sub.Unregistered != 0 {
		return nil, refuse(http.StatusGone, 106, "No such subscription")
	}
	return sub, nil
}

// unauthorized returns autopush's words for an error of VAPID.
func unauthorized(err error) *Refusal {
	for _, known := range []struct {
		err  error
		word string
	}{
		{jwttest.ErrScheme, "Unknown auth scheme"},
		{jwttest.ErrMissing, "Missing VAPID public key"},
		{jwttest.ErrKey, "Invalid VAPID public key"},
		{jwttest.ErrSignature, "InvalidSignature"},
		{jwttest.ErrAudience, "Invalid VAPID audience"},
		{jwttest.ErrExpired, "ExpiredSignature"},
		{jwttest.ErrTooLong, "The VAPID token expiration is too long"},
	} {
		if errors.Is(err, known.err) {
			return refuse(http.StatusUnauthorized, 109, known.word)
		}
	}
	return refuse(http.StatusUnauthorized, 109, "InvalidToken")
}

var (
	topicAlphabet = regexp.MustCompile(`^[0-9A-Za-z_-]*$`)
	urgencies     = []string{"very-low", "low", "normal", "high"} // RFC 8030 section 5.3
)

// read reads a push, in autopush's order: the signature, the body, and then the headers.
func (s *Service) read(w http.ResponseWriter, r *http.Request) (*message, *Refusal) {
	m := &message{version: word(), topic: r.Header.Get("Topic")}
	m.Header = r.Header.Clone()
	if authorization := r.Header.Get("Authorization"); authorization != "" {
		vapid, err := jwttest.ParseVAPID(authorization)
		if err == nil {
			m.Subject, err = vapid.Verify(s.Origin, time.Now())
		}
		if err != nil {
			return nil, unauthorized(err)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, refuse(http.StatusRequestEntityTooLarge, 104, "overflow")
	}
	m.body, m.Size = body, len(body)
	return m, readHeaders(m.Header, len(body) > 0)
}

// readHeaders reads the headers of RFC 8030 section 5, and the encoding of RFC 8291.
func readHeaders(h http.Header, hasBody bool) *Refusal {
	ttl, err := strconv.ParseInt(h.Get("TTL"), 10, 64)
	topic := h.Get("Topic")
	_, hasUrgency := h["Urgency"]
	switch encoding := h.Get("Content-Encoding"); {
	case err != nil:
		return refuse(http.StatusBadRequest, 111, "Missing TTL value")
	case hasBody && encoding == "":
		return refuse(http.StatusBadRequest, 110, "Missing Content-Encoding header")
	case hasBody && encoding != "aes128gcm":
		return refuse(http.StatusBadRequest, 110, "Unknown Content-Encoding header")
	case hasBody && strings.Contains(h.Get("Encryption"), "salt="):
		return refuse(http.StatusBadRequest, 110, "Do not include 'salt' header in aes128gcm Encryption header")
	case hasBody && strings.Contains(h.Get("Crypto-Key"), "dh="):
		return refuse(http.StatusBadRequest, 110, "Do not include 'dh' header in aes128gcm Crypto-Key header")
	case ttl < 0:
		return refuse(http.StatusBadRequest, 114, "TTL must be greater than 0")
	case len(topic) > 32:
		return refuse(http.StatusBadRequest, 113, "Topic must be no greater than 32 characters")
	case !topicAlphabet.MatchString(topic):
		return refuse(http.StatusBadRequest, 113, "Topic must be URL and Filename safe Base64 alphabet")
	case hasUrgency && !slices.Contains(urgencies, h.Get("Urgency")): // autopush ignores it
		return refuse(http.StatusBadRequest, 0, "Urgency must be very-low, low, normal or high")
	}
	return nil
}

// programmed returns the programmed answer to the next push; nil if there is none.
func (s *Service) programmed(sub *subscription) *providertest.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(sub.answers) == 0 {
		return nil
	}
	answer := sub.answers[0]
	if sub.answers[0].Times--; answer.Times == 1 {
		sub.answers = sub.answers[1:]
	}
	return &answer
}

// accept stores a message for the browser. It takes the place of one with the same topic that was not sent yet (RFC 8030 section 5.4).
func (s *Service) accept(sub *subscription, m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, earlier := range sub.messages {
		if m.topic != "" && earlier.topic == m.topic && earlier.sent == nil && earlier.Ack == 0 {
			earlier.Dropped = true
		}
	}
	m.Dropped = s.users[sub.uaid] == nil && strings.Trim(m.Header.Get("TTL"), "0") == ""
	sub.messages = append(sub.messages, m)
	s.change()
}
