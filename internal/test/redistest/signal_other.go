//go:build !unix

package redistest

import "os"

// There is no redis-server here to stop.
var stop, proceed = os.Kill, os.Kill
