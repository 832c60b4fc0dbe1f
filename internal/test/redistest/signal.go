//go:build unix

package redistest

import "syscall"

const (
	stop    = syscall.SIGSTOP
	proceed = syscall.SIGCONT
)
