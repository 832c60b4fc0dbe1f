package providertest

import (
	"io"
	"net/http"
	"time"
)

// Answer is what an endpoint is told to answer to a push that breaks no rule.
type Answer struct {
	// Status is the answer's; 0 is 201.
	Status int
	Header http.Header
	Body   string
	// Delay is how long it takes to answer.
	Delay time.Duration
	// Hang gives no answer until the client goes away or the service is closed.
	Hang bool
	// Drop closes the connection (HTTP/2: the stream) instead of answering.
	Drop bool
	// Times is how many pushes are answered like this; 0 is every further one.
	Times int
}

// Answer programs what an endpoint, given as its path or URL, answers from now on: each answer in turn as many times as it says,
// then 201 again. Without answers, 201 at once. An unknown endpoint is ignored.
func (s *PushService) Answer(path string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(path); e != nil {
		e.answers = append([]Answer(nil), answers...)
	}
}

// takeAnswer is the programmed answer to the next push.
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

// write gives the answer. A request that hung until closed is dropped.
func (a Answer) write(w http.ResponseWriter, r *http.Request, closed <-chan struct{}) {
	var late <-chan time.Time // never, if it hangs
	if a.Delay > 0 && !a.Hang {
		late = time.After(a.Delay)
	}
	if a.Hang || a.Delay > 0 {
		select {
		case <-late:
		case <-r.Context().Done():
		case <-closed:
		}
	}
	if a.Hang || a.Drop {
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // the client may be gone
}
