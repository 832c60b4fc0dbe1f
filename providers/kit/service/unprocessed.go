package service

import "errors"

// replay says where a request may be sent again.
type replay uint8

const (
	no replay = iota
	onAnyConnection
	onAnotherConnection
)

// unprocessed says whether an error of net/http means that the server did not process the request. net/http repeats such requests
// itself, but not on connections that are managed by others.
func unprocessed(err error) replay {
	var reset streamError
	switch {
	case errors.As(err, &reset) && reset.Code == refusedStream:
		return onAnyConnection
	case err.Error() == goneAway, err.Error() == notUsable:
		return onAnotherConnection
	default:
		return no
	}
}

// net/http has no names for these errors: the request came after the last one that the server's GOAWAY promised to answer, and the
// connection was at its end before the request was sent.
const (
	goneAway  = "http2: Transport received Server's graceful shutdown GOAWAY"
	notUsable = "http2: client conn not usable"
)

// refusedStream is the error code of RFC 9113 section 7 of a stream that was not processed.
const refusedStream = 0x7

// streamError has the fields of net/http's own error of a stream that was reset, which converts itself into any such type.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error makes it an error.
func (streamError) Error() string { return "the stream was reset" }
