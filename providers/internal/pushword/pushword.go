// Package pushword finds a push service's own word in its answer, which takes precedence over the status: services use several statuses for
// one thing, and one status for several things. Each service has a file with its table and the sources of it.
//
// A service is recognised by the form of its answer, not by its host: anyone can run autopush, ntfy or a proxy in front of them. So a word
// decides only in the exact form that its service uses; a proxy's JSON with its own "reason" or "code" does not. Where devices choose the
// host, an answer concerns only one device: an invented word harms only the devices that chose that server.
package pushword

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Answer is a push service's answer, and what must not be shown of it.
type Answer struct {
	Status int
	Header http.Header
	// Body is the whole body, or empty if that was too large or cut off.
	Body []byte
	// Secrets are the parts of the request that a service may repeat: the endpoint's path and query, the authorization.
	Secrets []string
	// Content is the body of the request.
	Content string
}

// MayDecide reports whether a word in the body may change what an answer with this status means. Such a body must be read completely.
func MayDecide(status int) bool {
	switch status {
	case http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return false
	default:
		return status >= 400 && status < 500
	}
}

// Read returns what an answer means by the service's own word. If decided is false, the outcome has at most a Word.
func Read(a Answer) (o providers.Outcome, decided bool) {
	if a.Status >= 200 && a.Status < 300 && a.Header.Get(wnsStatus) == "" && a.Header.Get(wnsNotificationStatus) == "" {
		return o, false // nearly always
	}
	s := newSaid(a)
	for _, read := range readers {
		if r, ok := read(s); ok {
			r.means.Word = r.word
			return r.means, r.decides
		}
	}
	return providers.Outcome{Word: s.unknownWord()}, false
}

// readers are one for each service. No two of them read the same form.
var readers = []func(*said) (reading, bool){readWNS, readAutopush, readNtfy, readApple, readNextPush, readGoogle}

// reading is what one service's table makes of an answer in that service's form.
type reading struct {
	// word is the service's, from the table or in a form that cannot contain a secret.
	word string
	// decides means that means is the answer's outcome; otherwise the status decides.
	decides bool
	means   providers.Outcome
}

// decided returns a reading that decides.
func decided(word string, means providers.Outcome) reading {
	return reading{word: word, decides: true, means: means}
}

// said is an answer, read once for all tables.
type said struct {
	Answer
	// object has the members of the body, if that is a JSON object. Its Content-Type does not matter: a word in its service's exact form is
	// no accident.
	object map[string]json.RawMessage
	// text is the body, if it is not a JSON object.
	text string
}

var utf8BOM = []byte("\xef\xbb\xbf")

func newSaid(a Answer) *said {
	s := &said{Answer: a}
	body := bytes.TrimSpace(bytes.TrimPrefix(a.Body, utf8BOM))
	if len(body) > 0 && body[0] == '{' && lenient.Unmarshal(body, &s.object) == nil {
		return s
	}
	s.object, s.text = nil, string(body)
	return s
}

// string returns a member that is a string.
func (s *said) string(name string) (value string, ok bool) {
	raw := s.object[name]
	if len(raw) == 0 || raw[0] != '"' || lenient.Unmarshal(raw, &value) != nil {
		return "", false
	}
	return value, true
}

// number returns a member that is an integer.
func (s *said) number(name string) (value int, ok bool) {
	raw := s.object[name]
	if len(raw) == 0 || raw[0] == 'n' || lenient.Unmarshal(raw, &value) != nil {
		return 0, false
	}
	return value, true
}

// refuses reports whether the status is a 4xx. With any other status, a word about a subscription or a key may not be the service's:
// proxies and bridges send a 5xx, too.
func (s *said) refuses() bool { return s.Status >= 400 && s.Status < 500 }

// unknownWord returns a service's word that no table has, unchanged; empty if there is none, or if it may repeat what was sent.
func (s *said) unknownWord() string {
	word := s.anyWord()
	if word == "" || s.repeats(word) {
		return ""
	}
	return word
}

// wordMembers are the members that contain services' words: Apple's, autopush's, ntfy's, and those of others.
var wordMembers = []string{"reason", "errno", "code", "errcode", "error"}

func (s *said) anyWord() string {
	if s.object == nil {
		return providers.Word(s.text)
	}
	for _, name := range wordMembers {
		if value, ok := s.string(name); ok && providers.Word(value) != "" {
			return value
		}
		if value, ok := s.number(name); ok && value != s.Status {
			return providers.Word(strings.TrimSpace(string(s.object[name])))
		}
	}
	return s.googleStatus()
}

// googleStatus returns the status that Google's APIs name in an error, as FCM does.
func (s *said) googleStatus() string {
	var e struct {
		Status string `json:"status"`
	}
	if lenient.Unmarshal(s.object["error"], &e) != nil {
		return ""
	}
	return providers.Word(e.Status)
}
