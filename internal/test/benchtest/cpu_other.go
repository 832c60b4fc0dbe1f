//go:build !unix

package benchtest

import "time"

// cpu is not known here.
func cpu() time.Duration { return 0 }
