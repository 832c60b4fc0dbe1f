//go:build !linux

package component

import "syscall"

// endUnacknowledged does nothing: only Linux has the option for it. Writes time out on other systems, too, but later.
func endUnacknowledged(_, _ string, _ syscall.RawConn) error { return nil }
