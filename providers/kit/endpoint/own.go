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

// ownSiteHeader marks a request to the push server on the site at which the notification arrived. Its value is [ownSite]. Such a
// request comes from the gateway's own address, so it passes rules that trust this address. The header lets a site recognize it.
const (
	ownSiteHeader = "Caddy-Matrix-Push"
	ownSite       = "own-site"
)

// errOwnPath means that own_paths does not list the path of an endpoint on the own site.
var errOwnPath = errors.New("own_paths does not list the endpoint's path on this site")

// ownPaths are the paths on the own site that pushes may go to; empty for all.
type ownPaths []string

func parseOwnPaths(list []string) (ownPaths, error) {
	for _, p := range list {
		exact := strings.TrimSuffix(p, "*")
		switch {
		case !strings.HasPrefix(p, "/"):
			return nil, fmt.Errorf("%q does not begin with /: write a path such as /up*", p)
		case strings.Contains(exact, "*"):
			return nil, fmt.Errorf("%q has a * before its end: write one path for each prefix, such as /up*", p)
		case isAmbiguous(exact):
			return nil, fmt.Errorf("%q is not a plain path: write it without //, %%, \\, ; and without . and .. as segments", p)
		case strings.ContainsAny(exact, "?#"):
			return nil, fmt.Errorf("%q has a query or a fragment: write only the path", p)
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

// isAmbiguous reports whether a server may take a decoded path for another one. Such a path has empty or dot segments, nested escapes,
// or characters that some servers read as a slash or ignore.
func isAmbiguous(decoded string) bool {
	if strings.ContainsAny(decoded, "%\\;\x00") {
		return true
	}
	clean := path.Clean(decoded)
	return decoded != clean && decoded != clean+"/"
}

// markOwn adds headers to a request to the own site: that it comes from the gateway, and for whom it is made.
func markOwn(header http.Header, site providers.Site) http.Header {
	header = header.Clone()
	header.Set(ownSiteHeader, ownSite)
	if site.Client != "" {
		header.Set("X-Forwarded-For", site.Client)
	}
	return header
}
