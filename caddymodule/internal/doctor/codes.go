package doctor

// meaning is what a code means: its severity, what was found, and what to do. The texts have placeholders in braces.
type meaning struct {
	Severity     Severity
	Text, Action string
}

// codes are all codes. The name of a code never changes.
var codes = map[string]meaning{
	// The account's pushers.
	"no_pusher": {
		Problem, "The account has no pusher, so the homeserver sends no notifications to any gateway.",
		"Open the app, and allow notifications in the phone's settings and in the app's settings. Most apps then register a pusher.",
	},
	"no_pusher_here": {
		Problem, "None of the account's pushers sends to this gateway.",
		"Set this gateway's URL in the app. If the app has a fixed URL, ask the operator of that gateway.",
	},
	"many_pushers": {
		Note, "The account has {count} pushers. Only the first {checked} were checked.",
		"Log out sessions that are no longer in use. That removes their pushers.",
	},
	"not_for_gateway": {
		Note, "The pusher has the kind {kind}, so it is not for this gateway.", "Nothing. Pushers of the kind http send to a gateway.",
	},
	"pusher_disabled": {
		Problem, "The pusher is turned off at the homeserver (MSC3881).", "Turn on notifications for this session in the app's settings.",
	},
	"pusher_malformed": {
		Problem, "The pusher has no app_id or no pushkey.", "Open the app, so it registers again. If that does not help, report the fault to the app.",
	},
	"duplicate_pushers": {
		Note, "The pushers {pushers} have the same pushkey, so the device may get each notification more than once.",
		"Log out of the app and log in again. If the app registers twice again, report the fault to the app.",
	},
	"other_gateway": {
		Note, "The pusher sends to {host}, which is not a site of this gateway. {answer}",
		"Ask the operator of {host}, or set this gateway's URL in the app.",
	},

	// The URL of a pusher.
	"url_malformed": {
		Problem, "The pusher's URL is missing or is not a URL.",
		"Set the gateway's URL in the app, with https and the path /_matrix/push/v1/notify.",
	},
	"url_wrong_path": {
		Problem, "The pusher's URL does not have the path /_matrix/push/v1/notify, so the gateway refuses its notifications.",
		"Set the gateway's URL in the app, with https and the path /_matrix/push/v1/notify.",
	},
	"url_not_https": {
		Problem, "The pusher's URL uses http, which the gateway and some homeservers refuse.", "Set the gateway's URL in the app, with https.",
	},
	"private_address": {
		Note, "{host} has the private address {address}. Homeservers refuse private addresses unless their configuration allows them.",
		"In Synapse, add the address to ip_range_whitelist. The page docs/homeservers.md has the settings of other homeservers.",
	},
	"name_unknown": {
		Problem, "The name {host} has no address: {why}.", "Add the name to the DNS, or correct the gateway's URL in the app.",
	},
	"not_reachable": {
		Problem, "Nobody answers at {host}: {why}.", "Check the firewall, the proxy and Caddy's port.",
	},
	"not_reachable_from_here": {
		Note, "From this machine, the check of {host} failed: {why}. But the homeserver reached the gateway at {when}.",
		"Nothing, if only the homeserver is meant to reach the gateway by this name.",
	},
	"certificate_refused": {
		Problem, "The certificate of {host} is not accepted: {why}.", "Check the certificate. A homeserver accepts only a certificate that it trusts.",
	},
	"path_not_routed": {
		Problem, "At {host}, another server answers the gateway's path: {answer}.",
		"Route /_matrix/push/ to Caddy in the proxy, and check that the site has the directive matrix_push.",
	},
	"plaintext_refused": {
		Problem, "The gateway at {host} refuses requests, because they arrive without TLS.",
		"If a proxy is in front of Caddy, it must send X-Forwarded-Proto: https. See docs/operations.md.",
	},
	"url_redirects": {
		Problem, "{host} redirects the gateway's path. Homeservers don't follow redirects.", "In the app, set the URL to which it redirects.",
	},
	"answers_with_error": {
		Problem, "{host} answers the gateway's path with status {status}.", "Check the log of Caddy, and of the proxy in front of it.",
	},

	// The probe.
	"homeserver_reaches_gateway": {
		Note, "The homeserver reaches {host}: its notification came from {from} {tls} after {seconds} s, and arrived at {which} gateway.", "Nothing.",
	},
	"homeserver_does_not_reach": {
		Problem, "The homeserver does not reach {url}, although this machine does. No notification arrived within {time}.",
		"Check in this order: {causes}. The homeserver's log has the reason. In Synapse's, search for \"Failed to\".",
	},
	"nobody_reaches": {
		Problem, "Neither the homeserver nor this machine reaches the gateway at {url}: {why}. No notification arrived within {time}.",
		"Check in this order: {causes}. The homeserver's log has the reason. In Synapse's, search for \"Failed to\".",
	},
	"probe_not_accepted": {
		Problem, "Another gateway answers at {url}: {why}.",
		"Give all gateways at this address the same Caddy storage. If it is not your gateway, correct the DNS or the URL in the app.",
	},
	"probe_needs_second_account": {
		Note, "The homeserver {software} sends no unread counts, so the probe needs a second account. Nothing was changed.",
		"Add --from-token-file, with the access token of another account at the same homeserver.",
	},
	"probe_without_pusher": {
		Note, "There was nothing to probe, because no pusher has a URL of this gateway.", "See the other findings.",
	},
	"probe_failed": {
		Problem, "The probe failed: {why}.", "Correct the cause, and run the command again.",
	},
	"probe_left": {
		Problem, "The probe could not remove {what}.", "{how}",
	},
	"probe_pusher_left": {
		Note, "An earlier probe left this pusher.", "Nothing. The homeserver removes it with its next notification, or run the command with --probe.",
	},
	"probe_pusher_removed": {
		Note, "An earlier probe had left this pusher. It was removed.", "Nothing.",
	},

	// The device in this gateway.
	"app_unknown": {
		Problem, "The gateway rejects the pusher's notifications: {detail}.", "Add an app for this app_id to the configuration, or correct the app's pattern.",
	},
	"site_without_app": {
		Problem, "The site does not serve the pusher's app: {detail}.", "Add the app to the option apps of the site's directive matrix_push.",
	},
	"pushkey_unusable": {
		Problem, "Nothing can be delivered to this pushkey ({reason}): {detail}.", "{explanation}",
	},
	"pushkey_dead": {
		Problem, "The push service reported this pushkey as dead ({reason}). Pushers registered until {until} are rejected.",
		"Open the app, so it registers again. Later registrations get pushes. If it did not register, log out and log in again.",
	},
	"pushkey_was_dead": {
		Note, "The push service reported this pushkey as dead, but the app registered again. A push was delivered {when}.", "Nothing. It is fixed.",
	},
	"pushkey_suspected": {
		Problem, "The push server does not know this pushkey (404) since {since}. Pushes are pending until the next check.",
		"Open the app, so it registers again. To see the next check, run: caddy matrix-push rejected explain --hash {hash}",
	},
	"rejection_doubted": {
		Problem, "The push service rejects this pushkey ({reason}), but a wrong setting may be the cause: the app {app} has delivered nothing yet.",
		"{explanation}",
	},
	"last_attempt_failed": {
		Problem, "The latest push to this device was not delivered ({reason}) at {when}.", "{explanation}",
	},
	"pending_pushes": {
		Note, "Pushes to this device are pending in the outbox.", "To see them, run: caddy matrix-push outbox list --app '{app}'",
	},
	"ios_without_aps": {
		Note, "The pusher's default_payload has no alert, so the app {app} sends background pushes. iOS delays them, and shows nothing.",
		"The app must register with a default_payload that has aps.alert and mutable-content. Or set content full for the app.",
	},
	"content_left_out": {
		Note, "The homeserver sends whole events, but the app {app} has content event_id_only: the push service gets only ids and counts.",
		"Nothing, if the client gets the event itself. Otherwise, set content full for the app.",
	},
	"test_delivered": {
		Note, "The push service accepted the test notification.",
		"If the phone did not ring, check the phone: the permission, the battery saver, and that the app uses this account.",
	},
	"test_not_delivered": {
		Problem, "The test notification was not delivered ({reason}).", "{explanation}",
	},

	// The gateway.
	"fuse_tripped": {
		Problem, "The fuse of {app} has tripped, because too many pushkeys were rejected.",
		"Fix the cause, then run: caddy matrix-push fuse reset {which}",
	},
	"breaker_open": {
		Problem, "The breaker of {app} is open, because the push service fails.", "To see why, run: caddy matrix-push status",
	},
	"app_failing": {
		Problem, "All recent pushes of {app} failed: {detail}.", "To see why, run: caddy matrix-push status",
	},
	"app_misconfigured": {
		Problem, "The push service refuses the settings of {app}: {detail}.", "{explanation}",
	},
	"app_unproven": {
		Note, "The app {app} has delivered nothing with its current settings yet, so it is unknown whether they are right.",
		"To send a test to the pusher, add --send.",
	},
	"credential_expired": {
		Problem, "The credential of {app} has expired.", "Replace the credential's file. The gateway reads it without a reload.",
	},
	"outbox_full": {
		Problem, "The outbox has no room for more pushes of {app}.", "To see the pending pushes, run: caddy matrix-push outbox list",
	},
	"outbox_unreadable": {
		Problem, "The gateway cannot read its outbox.", "Check the disk or Redis. The log of Caddy has the error.",
	},
	"outbox_unconfirmed": {
		Problem, "Redis does not confirm pushes, so they are answered with 503.", "Check the replicas or the disk of Redis. docs/redis.md describes acknowledge.",
	},

	// What the homeserver sent.
	"notifications_missed": {
		Problem, "{count} that the user has not read are newer than the latest push at this gateway ({since}). The newest is of {newest}.{group}",
		"The homeserver does not reach the gateway, or waits after failures: Synapse waits up to an hour. Search its log for \"Failed to push\".",
	},
	"read_elsewhere": {
		Note, "{count} newer than the latest push were read on another device. Homeservers don't push what is already read.",
		"Nothing. To hear a sound for them, close the other client.",
	},
	"no_notification_list": {
		Note, "The homeserver has no list of notifications, so it is unknown whether it sent all of them.", "Compare with the gateway's log.",
	},

	// The push rules.
	"rules_master_on": {
		Problem, "The rule .m.rule.master is enabled: it turns off all notifications of the account.", "Turn on notifications for the account in the app's settings.",
	},
	"rule_silences_everything": {
		Problem, "The rule {rule} matches every event and has no action notify, so nothing below it notifies.", "Delete the rule, or turn it off.",
	},
	"rule_default_silent": {
		Note, "The rule {rule} {state}, so no notification comes for {what}.", "To change that, set these messages to notify in the app's settings.",
	},
	"mention_rule_silent": {
		Note, "The rule {rule} {state}, so {what} doesn't notify.", "To change that, turn on notifications for mentions in the app's settings.",
	},
	"room_muted": {
		Note, "The rule {rule} mutes {room}.", "To change that, set the room's notifications in the app.",
	},
	"room_mentions_only": {
		Note, "The rule {rule} sets {room} to mentions only. Calls in it don't ring either.", "To change that, set the room's notifications in the app.",
	},
	"mentions_invisible": {
		Problem, "The rule {rule} sets {room} to mentions only, but it is encrypted: the homeserver can't see mentions, and sends no push for them.",
		"Set the room to all messages in the app, or turn on MSC4028 in the homeserver.",
	},
	"sender_rule_ignored": {
		Note, "The rule {rule} has no effect, because Synapse compares it with a member that no event has.",
		"To mute the user, use an override rule with a condition for sender.",
	},
	"keyword_never_matches": {
		Note, "The keyword of the rule {rule} never matches: {why}.", "Change or delete the keyword.",
	},
	"keyword_needs_boundaries": {
		Note, "In Synapse, the keyword of the rule {rule} matches only between spaces or punctuation, and not inside a sentence without spaces.",
		"Add the keyword with * before and after it.",
	},
	"condition_unknown": {
		Note, "The rule {rule} has the condition {kind}, which no specification has. Unless the homeserver knows it, the rule never matches.",
		"Delete the rule if you don't need it.",
	},
	"rule_malformed": {
		Note, "The rule {rule} is malformed and never matches: {why}.", "Delete the rule, and add it again in the app.",
	},
	"rule_breaks_homeserver": {
		Problem, "The rule {rule} is malformed: {why}. {note}", "Delete the rule, and add it again in the app.",
	},
	"rule_shadowed": {
		Note, "The rule {rule} never decides, because {other} has the same conditions and comes first.", "Delete one of the two rules.",
	},
	"twins_differ": {
		Note, "The rules {rule} and {other} are for the same messages, but only one of them notifies: {notifying}.",
		"Set both in the app's settings. A client that knows only one of them may have changed it.",
	},
	"no_mention_rules": {
		Note, "The homeserver lacks the rules for intentional mentions (v1.7), so mentions from newer clients may not stand out.", "Update the homeserver.",
	},
}
