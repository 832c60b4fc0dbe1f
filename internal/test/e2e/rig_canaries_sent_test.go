package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// public has the members of a notification whose values are not secret: those that the operator configures, and those with a fixed set of
// values in the specification.
var public = []string{"app_id", "type", "prio", "msgtype", "format", "membership", "algorithm", "sound"}

// sent records the secrets in the body of a request, as far as it is JSON. Tests also send bodies that are cut off, or that have a member
// twice.
func (l *ledger) sent(body []byte) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	l.value(d, "")
}

// value records the next value. If there is a name, it is the value of that member, or of a list in it.
func (l *ledger) value(d *json.Decoder, name string) (ok bool) {
	token, err := d.Token()
	if err != nil {
		return false
	}
	switch token := token.(type) {
	case json.Delim:
		if token == ']' || token == '}' {
			return false
		}
		for d.More() {
			member := name
			if token == '{' {
				t, err := d.Token()
				if err != nil {
					return false
				}
				member, _ = t.(string)
			}
			if !l.value(d, member) {
				return false
			}
		}
		_, err := d.Token()
		return err == nil
	case string:
		l.member(name, token)
	}
	return true
}

// member records the text of a member.
func (l *ledger) member(name, text string) {
	switch {
	case slices.Contains(public, name):
	case name == "pushkey" && strings.HasPrefix(text, "{"): // a whole subscription
		l.note(aPushkey, text)
		l.sent([]byte(text))
	case isURL(text):
		kind := anEndpoint
		if name == "pushkey" {
			kind = aPushkey
		}
		l.noteURL(kind, text)
	case name == "pushkey":
		l.noteOpaque(aPushkey, text)
	case name == "p256dh" || name == "auth":
		l.noteOpaque(aDeviceKey, text)
	case name == "event_id" || name == "id":
		l.note(anEventID, text)
	default:
		l.note(aText, text)
		if len(text) > 24 {
			l.note(aText+" (its beginning)", text[:16])
		}
	}
}

// noting is a transport that records what it sends.
type noting struct{ *http.Transport }

// RoundTrip sends a request.
func (n noting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return n.Transport.RoundTrip(r)
	}
	if r.GetBody == nil {
		r = r.Clone(r.Context())
		r.Body = &overheard{ReadCloser: r.Body}
		return n.Transport.RoundTrip(r)
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	canaries.sent(text)
	return n.Transport.RoundTrip(r)
}

// overheard is a body that can be read only once. When it is closed, what was read of it is recorded.
type overheard struct {
	io.ReadCloser
	mu   sync.Mutex
	read bytes.Buffer
}

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read.Write(p[:n])
	return n, err
}

func (o *overheard) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	canaries.sent(o.read.Bytes())
	o.read.Reset()
	return o.ReadCloser.Close()
}

// received is a push service that records the endpoint and the credentials of each request.
func received(service http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		canaries.note(anEndpoint, r.URL.RequestURI())
		canaries.authorized(r.Header)
		service.ServeHTTP(w, r)
	})
}
