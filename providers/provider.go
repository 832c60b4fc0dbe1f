// Package providers defines the contract between the gateway and the providers, each of which delivers to one push service.
//
// A provider translates one notification for one device into a request to its push service, sends it once, and classifies the answer as
// one of a closed set of outcomes. It never sleeps, stores anything, logs a verdict or retries later: the gateway's policy decides what
// an outcome means. One corrected request, with a smaller body or a fresh credential, is part of the same attempt.
//
// A provider is a Caddy module in the namespace matrix_push.providers that implements [Provider]. A third party's provider works the
// same way as those in this repository. Run the suite in package providertest against it.
package providers

import (
	"context"
	"errors"
	"time"
)

// Provider delivers notifications to one push service.
type Provider interface {
	// Push makes one attempt to deliver p and returns how it ended. It must be safe for concurrent calls. It must return soon after ctx is
	// done, with a Retry. It must neither modify p nor keep it after it returned.
	Push(ctx context.Context, p *Push) Outcome
}

// Push is one notification on its way to one device.
type Push struct {
	// Notification is what to deliver. The app's content and badges options and the provider's [Reducer] were already applied to it. It is
	// shared with the request's other devices, so it is read-only.
	Notification *Notification

	// Device is where to deliver it.
	Device *Device

	// ID identifies this push. It is a random UUID, and is the same in every attempt.
	ID string

	// Expires is when the notification stops being worth delivering.
	Expires time.Time

	// Site is the site at which the notification arrived.
	Site Site
}

// TTL returns for how many whole seconds after now the push is still worth delivering. It is never negative.
func (p *Push) TTL(now time.Time) int {
	return max(0, int(p.Expires.Sub(now)/time.Second))
}

// Site is the site at which a notification arrived, as far as that is proved. It lets a provider tell the operator's own push server,
// which may be in a private network, from a stranger's. The outbox keeps it with the push, as JSON.
type Site struct {
	// Host is the site's host name in lower case. The request's Host header and TLS server name agree on it, and the operator gave a site
	// exactly this name. It is empty if they do not agree, or if the site has a wildcard, a placeholder or no name.
	Host string

	// Port is the local TCP port at which the request arrived.
	Port string

	// PublicPort is the port in the request's Host header, which a proxy or a container may map to Port. It is empty if the header has no
	// port, or if Host is empty.
	PublicPort string `json:",omitempty"`

	// Client is the IP address of the client that sent the request, as Caddy knows it. It is empty if Host is empty or the address is not
	// known, as in a push that an earlier version kept.
	Client string `json:",omitempty"`
}

// Usable is implemented by a provider that can see from the device itself whether anything could ever be delivered to it.
type Usable interface {
	// Usable returns an error if nothing could ever be delivered to the device, whatever the operator configures: a token that cannot be
	// decoded, a URL with the wrong scheme, invalid keys. The gateway rejects such a device at once, in every request, and stores nothing.
	// Anything that depends on the configuration or the network is for Push instead. Usable is called for every device before anything
	// else, so it must be pure and cheap. The error should be an [UnusableError]. It must not contain a secret.
	Usable(d *Device, site Site) error
}

// UnusableError is the reason why nothing could ever be delivered to a device.
type UnusableError struct {
	// Reason is a word in snake_case, as in [Outcome].
	Reason string
	// Err is the detail. It must not contain a secret.
	Err error
	// Doubtful means that another configuration might deliver to the device. If a push was ever delivered to it, one did, so the device
	// stays usable.
	Doubtful bool
}

// Error returns the detail, or the reason if there is no detail.
func (e *UnusableError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Err.Error()
}

// Unwrap returns the detail.
func (e *UnusableError) Unwrap() error { return e.Err }

// Reducer is implemented by a provider that knows which part of a notification its push service can use.
type Reducer interface {
	// Reduce returns the part of the notification that Push needs for any device, a few KiB, or n itself if that is no larger. From both,
	// Push makes the same request for any one device. That includes the smaller request that it may make after the first was too large.
	// Reduce is called once for each request, app and content. That is after the app's content and badges options, and before the first
	// attempt. All devices of the request share the result, and the outbox keeps it. Reduce is pure, makes no request and modifies
	// nothing. Push also accepts a notification that was not reduced.
	//
	// Without a Reducer, each attempt during the request gets the whole notification. An attempt from the outbox gets what
	// [Notification.Kept] keeps of it.
	Reduce(n *Notification) *Notification
}

// ContentDefaulter is implemented by a provider whose default for the app's content option is not [ContentIDs].
type ContentDefaulter interface {
	// DefaultContent returns what may leave the gateway for this device if the operator sets no content option.
	DefaultContent(d *Device) Content
}

// BadgesDefaulter is implemented by a provider whose default for the app's badges option is not [BadgesOn].
type BadgesDefaulter interface {
	// DefaultBadges returns which counts are delivered if the operator sets no badges option.
	DefaultBadges() Badges
}

// Replacer is implemented by a provider for which a push may replace an earlier one that is still pending.
type Replacer interface {
	// Replace returns a key for what the push shows. Of a device's pending pushes with the same key, only the newest is kept. The key is
	// empty if the push replaces no other. Badge updates replace each other without it, and so do notifications that only wake the device.
	// Replace is called before a push is kept, so it must be pure and cheap.
	Replace(n *Notification, d *Device) string
}

// Mounted is implemented by a provider that must know the sites at which its app is mounted, for example to name one to its push
// service.
type Mounted interface {
	// Mounted receives the host names of these sites that may be in the public DNS, in the order of the configuration. Wildcards,
	// addresses and special-use names are omitted, so there may be none. It is called once when the configuration goes live, before
	// [Starter]. An error fails the load.
	Mounted(hosts []string) error
}

// WaitDefaulter is implemented by a provider for which a homeserver should wait shorter or longer than the usual 5 s.
type WaitDefaulter interface {
	// DefaultWait returns the app's wait if the operator sets none.
	DefaultWait() time.Duration
}

// Starter is implemented by a provider that must do something when its configuration goes live, but not when it is only validated, such
// as making a key. An error fails the load.
type Starter interface {
	// Start is called once, after Provision and before the first push.
	Start(ctx context.Context) error
}

// StartChecker is implemented by a provider that can find out in advance, on this machine, whether its [Starter] would succeed.
type StartChecker interface {
	// CheckStart returns why Start would fail, or nil. It is called after Provision and [Mounted]. It changes nothing and uses no network.
	CheckStart(ctx context.Context) error
}

// Warmer is implemented by a provider that can prepare for its first push: connect, or get a token. Without it, the first push after a
// start waits for all of that.
type Warmer interface {
	// Warm is called in the background when a configuration has gone live, after [Starter]. After a reload, what is still open from before
	// is kept. Warm sends no push and no made-up request. If it fails, the first push tries again. The error is logged at debug level and
	// has no other effect; it must not contain a secret. Warm must return soon after ctx is done, and must be safe to run beside any
	// number of pushes. Like them, it may still be running when Cleanup is called.
	Warm(ctx context.Context) error
}

// Concurrency is implemented by a provider that learns how many pushes its push service takes at the same time.
type Concurrency interface {
	// Concurrency returns that number, as far as the provider knows now; 0 if it does not know. If the operator sets no concurrency option,
	// the gateway sends up to so many pushes at the same time, within its own bound: at least 512 and at most 2,048. It is called before each
	// attempt, so it must be cheap and must not wait.
	Concurrency() int
}

// Hoster is implemented by a provider whose pushes go to hosts that devices choose. If one host is down, the gateway can then pause
// only the pushes to that host.
type Hoster interface {
	// Host returns the host that a push for the device goes to. It is empty if the push can go nowhere.
	Host(d *Device) string
}

// Identifier is implemented by a provider for which a device's data decide where its pushes go, and not only its app_id and pushkey.
// Anyone who knows a pushkey can register it with other data. What happens to their pushes must not affect the device. So verdicts,
// suspicions, pending pushes and everything else that the gateway remembers of a device are kept for the app_id, the pushkey and the
// target.
type Identifier interface {
	// Target returns the part of the device's data that decides where its pushes go, such as an endpoint's URL, in one canonical spelling.
	// It is empty if only the pushkey decides, and for a device that is not usable. The gateway hashes it and never shows it. It depends
	// on the pushkey and the data only. It is called for every device before anything else, so it must be pure and cheap.
	Target(d *Device) string
}

// Expirer is implemented by a provider whose credential expires, so the gateway can warn the operator in advance.
type Expirer interface {
	// CredentialExpiry returns when the current credential expires, or zero if it does not.
	CredentialExpiry() time.Time
}

// Checker is implemented by a provider that can try its credentials at the push service without delivering anything.
type Checker interface {
	// Check makes a few requests at most, and returns nil if the service accepts the credentials. The error describes what the operator
	// must fix. It must not contain a secret. If the push service gave no answer, the error wraps [ErrUnreachable].
	Check(ctx context.Context) error
}

// ErrUnreachable means that a push service gave no answer.
var ErrUnreachable = errors.New("the push service cannot be reached")

// Explainer is implemented by a provider that can explain its reasons to the operator.
type Explainer interface {
	// Explain returns what a reason of an [Outcome] or an [UnusableError] means and, after a colon, what to do about it if there is
	// something to do: "the account may not send: give it the role Sender". It has at most 25 words, in lower case, without a full stop. It
	// is empty for a reason that the provider does not know. Logs, the command and the admin API show it beside the reason.
	Explain(reason string) string
}

// Advertiser is implemented by a provider that adds something to the endpoint's GET document.
type Advertiser interface {
	// Advertise returns what the document contains for an app of this provider.
	Advertise() Advertisement
}

// Advertisement is what the endpoint's GET document contains for one app.
type Advertisement struct {
	// UnifiedPush reports whether the endpoint is a Matrix gateway for UnifiedPush, https://unifiedpush.org/developers/gateway/.
	UnifiedPush bool

	// ApplicationServerKey is the VAPID public key (RFC 8292) that a browser or a UnifiedPush client subscribes with: the 65-byte
	// uncompressed point in unpadded base64url. It is empty if the app has none, or before [Starter].
	ApplicationServerKey string
}
