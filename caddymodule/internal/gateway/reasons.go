package gateway

// Reasons are the reasons that the engine itself gives, with what they mean and what to do about them. docs/metrics.md lists them.
var Reasons = map[string]string{
	"app_busy":      "the app has more pushes to send than concurrency allows at the same time: if this lasts, raise concurrency; for apns and fcm, remove it",
	"behind_others": "earlier pushes to the device are still pending, and are sent first",
	"breaker_open":  "the push service fails, so it gets only one trial push every 10 s: see the app's other reasons",
	"displaced":     "the outbox was full, so the push made way for another one: see max_per_app and max_size",
	"expired":       "the push's ttl ended before the push service accepted it",
	"given_up":      "ten attempts failed, and the device has never accepted a push",
	"host_paused":   "the push server answered several devices with 429, so pushes to it pause for some minutes",
	"no_badges":     "the option badges, or the pusher's disable_badge_count, turns badge updates off",
	"overdue":       "the attempt did not end in time, which is a bug of the provider: report it",
	"panic":         "the provider panicked, which is a bug: report the stack that is in the log",
	"suspected":     "the pushkey may be dead, and the next check is later: the push is pending until then",
	unknownApp:      "no app or site serves the device, so the homeserver removes the pusher: correct the configuration if that is wrong",
	"unreadable":    "the pending push cannot be read: another version may have stored it",
	"unusable":      "nothing can ever be delivered to the device, whatever you configure",
}

// unknownApp is the reason for a device that no app, or no app of the site, serves.
const unknownApp = "unknown_app"
