package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// ownSiteHeader marks a request to the push server on the site that the notification came in at. Its value is [ownSite]. Such a request comes
// from the gateway's own address, and so passes what trusts that: with the header, a site can tell.
const (
	ownSiteHeader = "Caddy-Matrix-Push"
	ownSite       = "own-site"
)

// errOwnPath says that own_paths does not have the path of an endpoint on the own site.
var errOwnPath = errors.New("own_paths does not have the endpoint's path on the own site")

// ownPaths are the paths of the own site that pushes may go to; none for all.
type ownPaths []string

func parseOwnPaths(list []string) (ownPaths, error) {
	for _, p := range list {
		exact := strings.TrimSuffix(p, "*")
		switch {
		case !strings.HasPrefix(p, "/"):
			return nil, fmt.Errorf("%q does not begin with /, such as /up*", p)
		case strings.Contains(exact, "*"):
			return nil, fmt.Errorf("%q has a * that is not its last character: write one path for each prefix, such as /up*", p)
		case isAmbiguous(exact):
			return nil, fmt.Errorf("%q is not a plain path: write it without //, . and .. as segments, %%, \\ and ;", p)
		case strings.ContainsAny(exact, "?#"):
			return nil, fmt.Errorf("%q has a query or a fragment: only the path is compared", p)
		}
	}
	return list, nil
}

// allow reports whether a push may go to an endpoint on the own site.
func (o ownPaths) allow(endpoint *url.URL) bool {
	if len(o) == 0 {
		return true
	}
	to := endpoint.Path
	if to == "" {
		to = "/"
	}
	if isAmbiguous(to) || strings.Contains(strings.ToLower(endpoint.RawPath), "%2f") {
		return false
	}
	for _, p := range o {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(to, prefix) || p == to {
			return true
		}
	}
	return false
}

// isAmbiguous reports whether a decoded path is one that a server may take for another one: with segments that lead upwards or nowhere,
// escapes in escapes, what some read as a slash, or what some leave out.
func isAmbiguous(decoded string) bool {
	if strings.ContainsAny(decoded, "%\\;\x00") {
		return true
	}
	clean := path.Clean(decoded)
	return decoded != clean && decoded != clean+"/"
}

// markOwn has a request to the own site say what it is and for whom it is made.
func markOwn(header http.Header, site providers.Site) http.Header {
	header = header.Clone()
	header.Set(ownSiteHeader, ownSite)
	if site.Client != "" {
		header.Set("X-Forwarded-For", site.Client)
	}
	return header
}
