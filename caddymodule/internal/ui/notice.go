package ui

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

// notices keeps what the latest action did, for the page that is shown after it. An action's form is answered with a redirection, so
// loading the page again does not repeat the action.
type notices struct {
	mu     sync.Mutex
	number int
	latest describe.Report
}

// noticed is the name of the parameter with the notice's number.
const noticed = "done"

// done returns the view after an action: the page at a path, with a notice.
func (n *notices) done(path string, query url.Values, notice describe.Report) (view, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.number++
	n.latest = notice
	if query == nil {
		query = make(url.Values)
	}
	query.Set(noticed, strconv.Itoa(n.number))
	return view{location: path + "?" + query.Encode()}, nil
}

// of returns the notice that a request asks for; nil if there was another action since.
func (n *notices) of(r *http.Request) *describe.Report {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.number == 0 || r.URL.Query().Get(noticed) != strconv.Itoa(n.number) {
		return nil
	}
	notice := n.latest
	return &notice
}
