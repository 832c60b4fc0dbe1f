package apns

import (
	"regexp"
	"strconv"
)

// maxFarewell is the maximum length of the debug data in a GOAWAY.
const maxFarewell = 4 << 10

// goAway matches net/http's error for a request whose connection the server ended after a GOAWAY, with that frame's debug data (RFC 9113
// section 6.8). The error has no exported type.
var goAway = regexp.MustCompile(`^http2: server sent GOAWAY and closed the connection; LastStreamID=\d+, ErrCode=.+?, debug=(".*")$`)

// farewell returns the debug data of the GOAWAY that ended the connection, if the error means that. It must not be shown: it may be
// anything.
func farewell(err error) (said string, ok bool) {
	found := goAway.FindStringSubmatch(err.Error())
	if found == nil {
		return "", false
	}
	if said, err = strconv.Unquote(found[1]); err != nil || len(said) > maxFarewell {
		return "", true
	}
	return said, true
}
