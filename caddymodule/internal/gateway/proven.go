package gateway

import "github.com/matrix-push/caddy-matrix-push/rejected"

// isProven reports whether something was delivered to a device before. The app is the pattern that serves the device, or unknownApps for a
// device that no app serves any more.
func (s *Shared) isProven(_ string, k rejected.Key) bool { return s.journal.delivered(k) }

// hasProven reports whether something was delivered to any device of an app.
func (s *Shared) hasProven(app string) bool { return s.journal.hasDelivered(app) }
