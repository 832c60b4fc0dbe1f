package component

import "syscall"

// userTimeout is TCP_USER_TIMEOUT (RFC 5482). The package syscall doesn't have it.
const userTimeout = 0x12

// endUnacknowledged ends a connection if the other end doesn't acknowledge what is sent to it. Keep-alive probes find only connections
// that are idle.
func endUnacknowledged(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(deadTime.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
