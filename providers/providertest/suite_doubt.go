package providertest

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// isFirm reports whether a pushkey is rejected for certain: the homeserver then deletes the pusher at once.
func isFirm(kind providers.Kind, doubtful bool) bool {
	return kind == providers.KindRejected && !doubtful
}

// testDoubt finds the mistake that costs an app all its pushers: taking the answer to a wrong setting for proof of a dead pushkey.
func (s Suite) testDoubt(t *testing.T) {
	t.Parallel()
	for _, v := range s.Verdicts {
		switch {
		case !isFirm(v.Kind, v.Doubtful):
		case isRefusal(v.Status):
			t.Errorf("verdict %q: a wrong credential also gets %d. Set Doubtful, or make it Misconfigured", v.Name, v.Status)
		case strings.TrimSpace(v.Documented) == "":
			t.Errorf("verdict %q: the pushkey is rejected for certain. In Documented, name the page which states that only a dead pushkey "+
				"gets this answer. If a wrong credential, topic, project or URL of the operator gets it as well, set Doubtful", v.Name)
		}
	}
	bodies := map[string]string{
		"without a body": "",
		"with a page":    "<html><head><title>Error</title></head><body><h1>Error</h1></body></html>",
		"with JSON":      `{"error":"error","message":"An error occurred."}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var status atomic.Int64
			b := s.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				Answer{Status: int(status.Load()), Body: body}.ServeHTTP(w, r)
			}))
			for _, code := range wordless {
				status.Store(int64(code))
				o, ok := b.call(t.Context(), t, b.push, patience)
				if !ok {
					return
				}
				if complaint := s.hasty(code, o); complaint != "" {
					t.Errorf("a %d without a word of the push service makes the pushkey %s (%s): %s", code, o.Kind, o.Reason, complaint)
				}
			}
		})
	}
}

// wordless are the statuses that the suite answers with, without a word of the push service.
var wordless = []int{400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 413, 415, 422, 429, 451, 500, 501, 502, 503, 504, 507}

// isRefusal reports whether a status is about the sender: its credential, or an access list.
func isRefusal(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return true
	}
	return false
}

// hasty returns why an answer without a word of the push service must not have this outcome; empty if it may.
func (s *Suite) hasty(status int, o providers.Outcome) string {
	firm := isFirm(o.Kind, o.Doubtful)
	switch {
	case o.Kind != providers.KindRejected && o.Kind != providers.KindSuspected:
		return ""
	case status >= 500 || status == http.StatusTooManyRequests:
		return "an outage or a rate limit proves nothing about a pushkey. Make it Retry"
	case isRefusal(status) && o.Kind == providers.KindSuspected:
		return "a wrong credential persists, so the suspicion is believed in the end. Make it Misconfigured, or Rejected and Doubtful"
	case !firm || status == http.StatusGone && s.documents(status):
		return ""
	case status == http.StatusGone:
		return "if the push service documents it for a dead pushkey, add it to Verdicts with Documented and no body. Otherwise, set Doubtful"
	default:
		return "a wrong credential, topic, project or URL gets " + strconv.Itoa(status) +
			" as well, and a proxy in front of the service may send it. Set Doubtful, or make it Misconfigured, Suspected or Dropped"
	}
}

// documents reports whether the author names a page which states that the status is enough for a dead pushkey.
func (s *Suite) documents(status int) bool {
	for _, v := range s.Verdicts {
		if v.Status == status && v.Body == "" && isFirm(v.Kind, v.Doubtful) && strings.TrimSpace(v.Documented) != "" {
			return true
		}
	}
	return false
}
