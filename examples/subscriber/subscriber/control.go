package subscriber

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// help writes what to register.
func (s *Server) help(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, s.introduction())
}

// message is a message as a GET shows it.
type message struct {
	Time       time.Time       `json:"time"`
	Status     int             `json:"status"`
	TTL        int             `json:"ttl"`
	Urgency    string          `json:"urgency,omitempty"`
	Topic      string          `json:"topic,omitempty"`
	Encrypted  bool            `json:"encrypted"`
	VAPID      bool            `json:"vapid"`
	Subject    string          `json:"subject,omitempty"`
	Violations []string        `json:"violations,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"`
}

// messages shows the last messages of an endpoint, oldest first.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) {
	shown := []message{}
	for _, m := range s.service.Messages(r.URL.Path) {
		body := json.RawMessage(m.Body)
		if !json.Valid(body) {
			body, _ = json.Marshal(string(m.Body)) // cannot fail for a string
		}
		shown = append(shown, message{
			Time: m.Time, Status: m.Status, TTL: m.TTL, Urgency: m.Urgency, Topic: m.Topic,
			Encrypted: m.Encrypted, VAPID: m.VAPID, Subject: m.Subject, Violations: m.Violations, Body: body,
		})
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(shown) // the client may be gone
}

// control opens an endpoint, and sets its answers.
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !validName.MatchString(name) {
		http.Error(w, "a name must have 1 to 64 characters and contain only letters, digits, '-' and '_'", http.StatusBadRequest)
		return
	}
	answers, err := parseAnswer(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch r.PathValue("kind") {
	case "up":
		s.service.Endpoint(name)
	case "webpush":
		s.service.SubscribeDemo(name)
	default:
		http.NotFound(w, r)
		return
	}
	s.service.Answer(r.URL.Path, answers...)
	w.WriteHeader(http.StatusNoContent)
}

var (
	errAnswer     = errors.New("answer must be a status from 200 to 599, hang, drop or ok")
	errTimes      = errors.New("times must be a number of at least 1")
	errRetryAfter = errors.New("retry_after must be a number of seconds")
)

// parseAnswer reads the answer that an endpoint should give. It returns none for ok.
func parseAnswer(query url.Values) ([]providertest.Answer, error) {
	var a providertest.Answer
	switch value := query.Get("answer"); value {
	case "", "ok":
		return nil, nil
	case "hang":
		a.Hang = true
	case "drop":
		a.Drop = true
	default:
		status, err := strconv.Atoi(value)
		if err != nil || status < 200 || status > 599 {
			return nil, errAnswer
		}
		a.Status = status
	}
	if times := query.Get("times"); times != "" {
		n, err := strconv.Atoi(times)
		if err != nil || n < 1 {
			return nil, errTimes
		}
		a.Times = n
	}
	if after := query.Get("retry_after"); after != "" {
		if _, err := strconv.ParseUint(after, 10, 31); err != nil {
			return nil, errRetryAfter
		}
		a.Header = http.Header{"Retry-After": {after}}
	}
	return []providertest.Answer{a}, nil
}
