package upstream

import (
	"encoding/json"
	"mime"
	"net/http"
)

// deadErrnos are autopush's words for a subscription that is dead (error.rs in
// https://github.com/mozilla-services/autopush-rs/tree/master/autoendpoint/src). It gives the first with a 404, and the others with a 410.
var deadErrnos = map[int]bool{
	102: true, // the endpoint is not one that it made
	103: true, // no such user agent
	105: true, // the user agent was deleted meanwhile
	106: true, // no such subscription
}

// hasWords reports whether the body of an answer may have a push service's own word in it, which decides before the status does.
func hasWords(status int, header http.Header) bool {
	if status != http.StatusNotFound {
		return false
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// saysDead reports whether an answer has a push service's own word for a dead subscription. This is the place for such words.
func saysDead(r Response) bool {
	var said struct {
		Errno int `json:"errno"`
	}
	return len(r.Body) > 0 && json.Unmarshal(r.Body, &said) == nil && deadErrnos[said.Errno]
}
