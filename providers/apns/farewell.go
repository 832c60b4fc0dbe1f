package apns

import (
	"regexp"
	"strconv"
)

// maxFarewell is how long what a server says with its GOAWAY may be.
const maxFarewell = 4 << 10

// goAway is net/http's error of a request whose connection the server ended after a GOAWAY, with the debug data of that frame (RFC 9113
// section 6.8). It has no exported type.
var goAway = regexp.MustCompile(`^http2: server sent GOAWAY and closed the connection; LastStreamID=\d+, ErrCode=.+?, debug=(".*")$`)

// farewell returns what a server said with the GOAWAY that ended the connection, if that is what the error means. It is not to be shown: it
// may be anything.
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
