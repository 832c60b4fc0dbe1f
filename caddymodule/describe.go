package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// document is the answer to GET: what a site is a gateway for.
type document struct {
	// Gateway is an older form of UnifiedPush, which some clients look for.
	Gateway     string               `json:"gateway,omitempty"`
	UnifiedPush *unifiedPushDocument `json:"unifiedpush,omitempty"`
	// WebPush has the apps with a key, by their patterns, or by the app_id that the client asked for.
	WebPush map[string]keyDocument `json:"webpush,omitempty"`
}

// unifiedPushDocument is what https://unifiedpush.org/developers/gateway/ asks for, and the key for endpoints that want a signature.
type unifiedPushDocument struct {
	Gateway string `json:"gateway"`
	keyDocument
}

type keyDocument struct {
	ApplicationServerKey string `json:"application_server_key,omitempty"`
}

// add adds an app under a name.
func (d *document) add(name string, ad providers.Advertisement) {
	switch key := (keyDocument{ad.ApplicationServerKey}); {
	case ad.UnifiedPush && d.UnifiedPush == nil:
		d.Gateway, d.UnifiedPush = "matrix", &unifiedPushDocument{"matrix", key}
	case ad.UnifiedPush:
		if d.UnifiedPush.keyDocument != key {
			d.UnifiedPush.keyDocument = keyDocument{} // they have several: which it is depends on the app_id
		}
	case ad.ApplicationServerKey != "":
		if d.WebPush == nil {
			d.WebPush = make(map[string]keyDocument)
		}
		d.WebPush[name] = key
	}
}

func (d *document) isEmpty() bool { return d.UnifiedPush == nil && d.WebPush == nil }

// describe serves GET: what this site is a gateway for, or what it is for one app_id. It waits for the start, as a key may be made then.
func (h *Handler) describe(w http.ResponseWriter, r *http.Request) {
	appID, one, err := askedFor(r.URL.RawQuery)
	if err != nil {
		fail(w, err)
		return
	}
	if !h.app.ready(r.Context()) {
		err := gateway.ErrStarting()
		retryAfter(w, err.RetryAfter)
		fail(w, err)
		return
	}
	var doc document
	router := h.app.gateway.Router
	if one {
		if app := router.Route(appID); app != nil && h.serves(app) {
			doc.add(appID, app.Advertise())
		}
	} else {
		for _, app := range router.Apps() {
			if h.serves(app) {
				doc.add(app.Pattern, app.Advertise())
			}
		}
	}
	switch {
	case !doc.isEmpty():
		body, _ := json.Marshal(doc) // which escapes what HTML could take for its own
		write(w, http.StatusOK, body)
	case one:
		fail(w, gateway.ErrNoKey())
	default:
		h.methodNotAllowed(w) // to a UnifiedPush client: there is no gateway here, use your default
	}
}

// maxQuery is how long a query may be: the specification's app_ids have at most 64 characters.
const maxQuery = 4 << 10

// askedFor reads which app_id a query is about; one is false if it is about none.
func askedFor(query string) (appID string, one bool, err *gateway.Error) {
	if len(query) > maxQuery {
		return "", false, gateway.ErrInvalidParam("the query has more than %d bytes", maxQuery)
	}
	values, unreadable := url.ParseQuery(query)
	if unreadable != nil { // what it says may quote the query
		return "", false, gateway.ErrInvalidParam("the query cannot be read: its values have to be URL-encoded")
	}
	given := values["app_id"]
	switch {
	case len(given) == 0:
		return "", false, nil
	case len(given) > 1:
		return "", false, gateway.ErrInvalidParam("app_id is given more than once")
	case given[0] == "":
		return "", false, gateway.ErrInvalidParam("app_id is empty")
	case !utf8.ValidString(given[0]):
		return "", false, gateway.ErrInvalidParam("app_id is not UTF-8")
	}
	return given[0], true, nil
}
