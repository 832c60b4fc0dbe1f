package describe

// cures are what to do about a degradation.
var cures = map[string]string{
	"failing": "Check the push service's status page, your network and your proxy. The problems of the app show the reason. " +
		"This ends with the first push that is delivered. A test push is enough.",
	"breaker_open": "Check the push service's status page. If it is down, wait: the gateway tries one push every 10 s. " +
		"If it isn't down, the problems of the app show whether your network is the cause.",
	"fuse_tripped": "Correct the cause first, which is almost certainly a wrong topic, environment or project. " +
		"Then reload the configuration, and reset the fuse. " +
		"If one push server that users chose has lost its data, you don't need to do anything.",
	"credential_expired": "Get a new credential, and replace the file. The gateway reads the new file without a reload.",
	"misconfigured": "Correct the setting, and reload the configuration. " +
		"This ends with the first push that is delivered. A test push is enough.",
	"outbox_full":        "Find out why the app's pushes are not delivered, or give the outbox more space.",
	"component_down":     "Check that the XMPP server runs, and that its settings for the component match the gateway's.",
	"outbox_unreadable":  "Check the disk or Redis. The log has the error.",
	"outbox_unconfirmed": "Start the missing replicas, or check the disk of Redis. This ends by itself. docs/redis.md describes the option acknowledge.",
}

// unknownApps is the cure for the fuse for devices of unknown apps.
const unknownApps = "Add the missing app to the configuration. Until then, the gateway answers requests for these devices with 503, " +
	"so homeservers delete no pushers."

// Cure returns what to do about a degradation of an app; empty if nobody knows. Without an app, it is that of devices of unknown apps.
func Cure(reason, app string) string {
	if reason == "fuse_tripped" && app == "" {
		return unknownApps
	}
	return cures[reason]
}
