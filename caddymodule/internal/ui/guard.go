package ui

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
)

// maxForm bounds the body of a form. A notification's data can have 64 KiB, which a form writes with up to three times as many bytes.
const maxForm = 256 << 10

// guard lets only the requests of one browser session through to serve.
type guard struct {
	// host is what the Host header must be.
	host string
	// once is the path that begins the session, and entered is whether it was used.
	once    string
	entered atomic.Bool
	// folder is the path that all pages are below. Browsers send a cookie of 127.0.0.1 to all of its ports, but only below the cookie's path.
	// Nobody else knows this one.
	folder string
	// cookie is the name of the session's cookie. Several pages may run at a time, so it contains the port.
	cookie string
	// session is the cookie's value, and token is what the session's forms contain.
	session, token string
	serve          http.Handler
}

func newGuard(host string) guard {
	_, port, _ := net.SplitHostPort(host)
	return guard{
		host: host, once: "/" + rand.Text(), folder: "/" + rand.Text(), cookie: "matrix_push_" + port, session: rand.Text(), token: rand.Text(),
	}
}

// URL returns the URL that begins the session. It works once.
func (g *guard) URL() string { return g.origin() + g.once }

func (g *guard) origin() string { return "http://" + g.host }

// inside returns the path at which the session has a page.
func (g *guard) inside(path string) string { return g.folder + path }

// headers keep other pages from reading, framing or influencing this one, and the browser from loading or keeping anything.
//
// The referrer policy is not no-referrer, because browsers then send `Origin: null` with forms (Fetch, section 3.2). Nobody else sees a
// referrer with same-origin either.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	"X-Frame-Options":              "DENY",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// ServeHTTP serves a request of the session, and refuses all others.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	switch why := g.foreign(r); {
	case why != "":
		refuse(w, why)
	case g.enters(r):
		http.SetCookie(w, &http.Cookie{ // #nosec G124 -- there is no TLS on loopback
			Name: g.cookie, Value: g.session, Path: g.inside("/"), HttpOnly: true, SameSite: http.SameSiteStrictMode,
		})
		http.Redirect(w, r, g.inside("/"), http.StatusSeeOther)
	case g.entered.Load() && same(r.URL.Path, g.once):
		refuse(w, "This URL was used before, and works only once. If this browser has opened it, go back to that page. "+
			"For another browser, end the command and start it again.")
	case !g.belongs(r):
		refuse(w, "This browser has no session. Open the URL that the command has printed. It works once: "+
			"for another browser, end the command and start it again.")
	case r.Method == http.MethodPost:
		if why := g.forged(w, r); why != "" {
			refuse(w, why)
			return
		}
		g.serve.ServeHTTP(w, r)
	default:
		g.serve.ServeHTTP(w, r)
	}
}

// refuse answers with a sentence. Nothing was changed.
func refuse(w http.ResponseWriter, why string) { http.Error(w, why, http.StatusForbidden) }

// foreign returns why a request comes from another website; empty if nothing shows that.
func (g *guard) foreign(r *http.Request) string {
	switch {
	case r.Host != g.host:
		return "This page is served only at " + g.origin() + ". Open the URL as the command has printed it."
	case !slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site")):
		return "Another website sent this request. Type or paste the URL that the command has printed."
	case slices.Contains([]string{"iframe", "frame", "fencedframe", "embed", "object"}, r.Header.Get("Sec-Fetch-Dest")):
		return "This page must not be shown within another page."
	}
	return ""
}

// enters reports whether a request begins the session. Only one does.
func (g *guard) enters(r *http.Request) bool {
	return r.Method == http.MethodGet && same(r.URL.Path, g.once) && g.entered.CompareAndSwap(false, true)
}

// belongs reports whether a request belongs to the session.
func (g *guard) belongs(r *http.Request) bool {
	c, err := r.Cookie(g.cookie)
	return err == nil && g.entered.Load() && same(c.Value, g.session)
}

// forged reads a form. It returns why the form is not one of the session's pages; empty if it is.
func (g *guard) forged(w http.ResponseWriter, r *http.Request) string {
	if r.Header.Get("Origin") != g.origin() {
		return "This form was not sent by this page, so nothing was changed. Open the page, and use its own form."
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return "The form is larger than 256 KiB, so nothing was changed. Send less text."
		}
		return "The form cannot be read, so nothing was changed."
	}
	if !same(r.PostForm.Get("token"), g.token) {
		return "This form is not of this session, so nothing was changed. Load the page again, and send the form once more."
	}
	return ""
}

// same compares secrets in a time that does not depend on where they differ.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
