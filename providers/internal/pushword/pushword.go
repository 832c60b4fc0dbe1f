// Package pushword reads a push service's own word out of its answer, which decides before the status does: services give one thing with
// several statuses, and several things with one. There is a file for each service, with its table and the sources of it.
//
// A service is known by the form of its answer, and not by its host: anyone can run autopush, ntfy or a proxy in front of them. So a word
// decides only in the exact form that its service gives it; a proxy's JSON with a "reason" or a "code" of its own does not. Where devices
// choose the host, an answer concerns one device only: whoever makes up a word harms nobody but the devices that chose their server.
package pushword

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Answer is a push service's answer, and what is not to be shown of it.
type Answer struct {
	Status int
	Header http.Header
	// Body is all of the body, or nothing if that is too large or was cut off.
	Body []byte
	// Secrets are what the request had that a service may repeat: the endpoint's path and query, the authorization.
	Secrets []string
	// Content is the body of the request.
	Content string
}

// MayDecide reports whether a word in the body may change what an answer of this status means. Half of such a body is half an answer.
func MayDecide(status int) bool {
	switch status {
	case http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return false
	default:
		return status >= 400 && status < 500
	}
}

// Read returns what an answer means by the service's own word. Otherwise decided is false, and the outcome has nothing but a Word, if that.
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

// readers are the services'. No two of them read the same form.
var readers = []func(*said) (reading, bool){readWNS, readAutopush, readNtfy, readApple, readNextPush, readGoogle}

// reading is what one service's table says about an answer in that service's form.
type reading struct {
	// word is the service's, out of the table or in a form that has no room for a secret.
	word string
	// decides says that means is what the answer means, and otherwise the status decides.
	decides bool
	means   providers.Outcome
}

// decided is a reading that says what the answer means.
func decided(word string, means providers.Outcome) reading {
	return reading{word: word, decides: true, means: means}
}

// said is an answer, read once for all tables.
type said struct {
	Answer
	// object has the members of the body, if that is a JSON object; whatever its Content-Type is, since a word in its service's exact form is
	// no chance.
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

// number returns a member that is a whole number.
func (s *said) number(name string) (value int, ok bool) {
	raw := s.object[name]
	if len(raw) == 0 || raw[0] == 'n' || lenient.Unmarshal(raw, &value) != nil {
		return 0, false
	}
	return value, true
}

// refuses reports whether the status is a 4xx. With any other, what a word says about a subscription or a key is not the service's last: a 5xx
// is a proxy's or a bridge's as well.
func (s *said) refuses() bool { return s.Status >= 400 && s.Status < 500 }

// unknownWord returns the word of a service that no table knows, as it came; empty if there is none, or if it may repeat what was sent.
func (s *said) unknownWord() string {
	word := s.anyWord()
	if word == "" || s.repeats(word) {
		return ""
	}
	return word
}

// wordMembers are where services have their words: Apple's, autopush's, ntfy's, and what others may have.
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

// googleStatus returns the status that Google's APIs name in an error, as in FCM's.
func (s *said) googleStatus() string {
	var e struct {
		Status string `json:"status"`
	}
	if lenient.Unmarshal(s.object["error"], &e) != nil {
		return ""
	}
	return providers.Word(e.Status)
}
