package service

import "errors"

// replay is where a request may be sent again.
type replay uint8

const (
	no replay = iota
	onAnyConnection
	onAnotherConnection
)

// unprocessed returns where a request may be sent again after an error of net/http: only if the server certainly did not process it.
// net/http repeats such requests itself, but not on connections that others manage.
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

// net/http does not export these errors. In the first, the request came after the last one that the server's GOAWAY promised to answer.
// In the second, the connection had ended before the request was sent.
const (
	goneAway  = "http2: Transport received Server's graceful shutdown GOAWAY"
	notUsable = "http2: client conn not usable"
)

// refusedStream is the error code of a stream that was not processed, RFC 9113 section 7.
const refusedStream = 0x7

// streamError has the fields of net/http's error for a stream that was reset. That error can convert itself into any such type.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error implements the error interface.
func (streamError) Error() string { return "the stream was reset" }
