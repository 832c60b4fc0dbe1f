package webpushrelay

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
)

// hosts are the push servers that messages may go to, in the spelling of [names.Canonical]. One that begins with a dot stands for all names
// below it.
type hosts []string

var errNoHosts = errors.New("hosts is missing: list the push servers that messages may go to, " +
	"such as hosts updates.push.services.mozilla.com *.push.apple.com")

func parseHosts(list []string) (hosts, error) {
	if len(list) == 0 {
		return nil, errNoHosts
	}
	parsed := make(hosts, len(list))
	for i, host := range list {
		name, below := strings.CutPrefix(host, "*.")
		parsed[i] = names.Canonical(name)
		if ip, err := netip.ParseAddr(name); err == nil && !below {
			parsed[i] = ip.Unmap().String()
			continue
		}
		if !isName(parsed[i]) {
			return nil, fmt.Errorf("hosts: %q is not a host name: write only a name such as fcm.googleapis.com, or *.push.apple.com for all "+
				"names below it", host)
		}
		if below {
			parsed[i] = "." + parsed[i]
		}
	}
	return parsed, nil
}

// isName reports whether a text can be a host name. It may be one that is not in the public DNS.
func isName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// allow reports whether a message may go to a host, which is in the spelling of [endpoint.Parse].
func (h hosts) allow(host string) bool {
	host = strings.TrimSuffix(host, ".")
	for _, allowed := range h {
		if host == allowed || allowed[0] == '.' && strings.HasSuffix(host, allowed) {
			return true
		}
	}
	return false
}
