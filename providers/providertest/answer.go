package providertest

import (
	"cmp"
	"io"
	"net/http"
	"time"
)

// Answer is an answer of a push service. It is an [http.Handler] that gives this answer to every request, so it can be the handler of a
// [TLSServer]. [PushService.Answer] gives several in turn.
type Answer struct {
	// Status is the HTTP status; 0 for 201.
	Status int
	// Header has the headers; nil for none.
	Header http.Header
	// Body is the body; empty for none.
	Body string
	// Delay is how long the answer takes.
	Delay time.Duration
	// Hang sends no answer. The connection (HTTP/2: the stream) is closed when the client is gone or the service is closed.
	Hang bool
	// Drop closes the connection (HTTP/2: the stream) instead of answering.
	Drop bool
	// Times is how many pushes [PushService.Answer] answers like this; 0 for all further ones.
	Times int
}

// Answer sets how an endpoint, given as its path or URL, answers pushes that break no rule. Each answer is given in turn, as many times
// as its Times, and after that 201. Without answers, every push gets 201 at once. An unknown endpoint is ignored.
func (s *PushService) Answer(path string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(path); e != nil {
		e.answers = append([]Answer(nil), answers...)
	}
}

// takeAnswer returns the programmed answer to the next push.
func (s *PushService) takeAnswer(e *endpoint) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(e.answers) == 0 {
		return Answer{}, false
	}
	a := e.answers[0]
	if a.Times == 1 {
		e.answers = e.answers[1:]
	} else if a.Times > 1 {
		e.answers[0].Times--
	}
	if a.Status == 0 && !a.Hang && !a.Drop {
		a.Status = http.StatusCreated
	}
	return a, true
}

// ServeHTTP sends the answer. A request that hangs is dropped once its context is done.
func (a Answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var late <-chan time.Time // never, if it hangs
	if a.Delay > 0 && !a.Hang {
		late = time.After(a.Delay)
	}
	if a.Hang || a.Delay > 0 {
		select {
		case <-late:
		case <-r.Context().Done():
		}
	}
	if a.Hang || a.Drop {
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(cmp.Or(a.Status, http.StatusCreated))
	_, _ = io.WriteString(w, a.Body) // the client may be gone
}
