package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// document is the answer to GET: which kinds of push the site is a gateway for.
type document struct {
	// Gateway is an older form of UnifiedPush that some clients look for.
	Gateway     string               `json:"gateway,omitempty"`
	UnifiedPush *unifiedPushDocument `json:"unifiedpush,omitempty"`
	// WebPush has the apps with a key, by pattern, or by the app_id that the client asked for.
	WebPush map[string]keyDocument `json:"webpush,omitempty"`
}

// unifiedPushDocument is the document of https://unifiedpush.org/developers/gateway/, with the key for endpoints that need a signature.
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
			d.UnifiedPush.keyDocument = keyDocument{} // there are several keys, so clients must ask with an app_id
		}
	case ad.ApplicationServerKey != "":
		if d.WebPush == nil {
			d.WebPush = make(map[string]keyDocument)
		}
		d.WebPush[name] = key
	}
}

func (d *document) isEmpty() bool { return d.UnifiedPush == nil && d.WebPush == nil }

// describe serves GET: the document for all apps of this site, or for one app_id. It waits for the app's start, which may create a key.
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
		body, _ := json.Marshal(doc) // also escapes HTML
		write(w, http.StatusOK, body)
	case one:
		fail(w, gateway.ErrNoKey())
	default:
		w.Header().Set("Allow", methods)
		fail(w, gateway.ErrWrongMethod()) // a UnifiedPush client takes this as: no gateway here, use the default
	}
}

// maxQuery is the maximum length of a query. The specification's app_ids have at most 64 characters.
const maxQuery = 4 << 10

// askedFor returns the app_id in a query; one is false if there is none.
func askedFor(query string) (appID string, one bool, err *gateway.Error) {
	if len(query) > maxQuery {
		return "", false, gateway.ErrInvalidParam("the query has more than %d bytes", maxQuery)
	}
	values, unreadable := url.ParseQuery(query)
	if unreadable != nil { // the error is not passed on, as it may quote the query
		return "", false, gateway.ErrInvalidParam("the query cannot be parsed: its values must be URL-encoded")
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
