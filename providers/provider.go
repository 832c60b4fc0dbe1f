// Package providers is the contract between the gateway and the push services it delivers to, and the model they share.
//
// A provider translates one notification for one device into a request of its push service, makes that request once, and
// classifies the answer as one of a closed set of outcomes. It does not sleep, store, log a verdict or try again for time's sake:
// the gateway's policy decides what an outcome means. One corrected request (a smaller body, a fresh credential) is part of an attempt.
//
// A provider is a Caddy module in the namespace matrix_push.providers that implements [Provider]; a third party's works the same
// way as the ones in this repository. Run the suite in package providertest against it.
package providers

import (
	"context"
	"time"
)

// Provider delivers notifications to one push service.
type Provider interface {
	// Push makes one attempt to deliver p and says how it went. It must be safe for any number of concurrent calls, must return
	// soon after ctx is done (with a Retry), and must not modify p or keep it after it returned.
	Push(ctx context.Context, p *Push) Outcome
}

// Push is one notification on its way to one device.
type Push struct {
	// Notification is what to deliver, after the app's content and badge options were applied to it, and the provider's [Reducer]. It is
	// shared with the request's other devices: read only.
	Notification *Notification

	// Device is where to deliver it.
	Device *Device

	// ID identifies this push, and is the same in every attempt to deliver it: a random UUID.
	ID string

	// Expires is when the notification stops being worth delivering.
	Expires time.Time

	// Site is where the notification came in.
	Site Site
}

// TTL is how long after now the push is still worth delivering, in whole seconds; never negative.
func (p *Push) TTL(now time.Time) int {
	return max(0, int(p.Expires.Sub(now)/time.Second))
}

// Site is the place a notification came in at, as far as it is proved. It lets a provider tell the operator's own push server,
// which may stand in a private network, from a stranger's. The outbox keeps it with the push, as JSON.
type Site struct {
	// Host is the lower-case host name that the request's Host header and its TLS server name agree on, and that the operator gave a site
	// exactly so; empty if they do not, or the site has a wildcard, a placeholder or no name.
	Host string

	// Port is the local TCP port the request came in at.
	Port string

	// PublicPort is the port that the request's Host header names, which a proxy or a container may map to Port; empty if it names none,
	// or if there is no Host.
	PublicPort string `json:",omitempty"`

	// Client is the IP address of who sent the request, as Caddy knows it; empty if there is no Host, or if it is not known, as of a push
	// that an earlier version kept.
	Client string `json:",omitempty"`
}

// Usable is implemented by a provider that can tell from a device alone whether anything could ever be delivered to it.
type Usable interface {
	// Usable returns an error if nothing could ever be delivered to the device, whatever the operator configures: a token that cannot
	// be decoded, a URL of another scheme, keys that are none. The gateway answers such a device as rejected, each time and at once, and
	// stores nothing. What depends on the configuration or the network is no such case: that is a matter of Push. It is called for
	// every device before anything else, so it is pure and cheap. The error is best an [UnusableError]; it must not contain a secret.
	Usable(d *Device, site Site) error
}

// UnusableError is why nothing could ever be delivered to a device.
type UnusableError struct {
	// Reason is a word as in [Outcome].
	Reason string
	// Err is the detail, without a secret in it.
	Err error
	// Doubtful means that a configuration other than the present one might deliver to the device. If a push was ever delivered to it, one did:
	// it stays usable then.
	Doubtful bool
}

// Error is the detail.
func (e *UnusableError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Err.Error()
}

// Unwrap returns the detail.
func (e *UnusableError) Unwrap() error { return e.Err }

// Reducer is implemented by a provider that knows how little of a notification its push service takes.
type Reducer interface {
	// Reduce returns what Push needs of the notification for whatever device, a few KiB, or n if that is as little. From both, Push makes
	// the same request for any one device: also the smaller one that it may make after the first was too large. Reduce is called once for
	// each request, app and content, after the app's content and badges options, and before the first attempt. All devices of the request
	// share what it returns, and the outbox keeps it. It is pure, makes no request, and modifies nothing; Push takes what was not reduced
	// as well.
	//
	// Without it, each attempt of a request gets all of the notification, and one out of the outbox what [Notification.Kept] is of it.
	Reduce(n *Notification) *Notification
}

// ContentDefaulter is implemented by a provider that wants another default for the app's content option than [ContentIDs].
type ContentDefaulter interface {
	// DefaultContent says what may leave for this device when the operator did not say.
	DefaultContent(d *Device) Content
}

// BadgesDefaulter is implemented by a provider that wants another default for the app's badges option than [BadgesOn].
type BadgesDefaulter interface {
	// DefaultBadges returns which counts are delivered when the operator did not say.
	DefaultBadges() Badges
}

// Replacer is implemented by a provider whose clients may want a push to take the place of an earlier one that is still pending.
type Replacer interface {
	// Replace returns what the push tells: of a device's pending pushes that tell the same, only the newest is kept. It is empty for a push
	// that stands for itself. Badge updates replace each other without it. It is pure and cheap, and called before a push is kept.
	Replace(n *Notification, d *Device) string
}

// Mounted is implemented by a provider that wants to know at which sites its app is mounted, such as to name one to its push service.
type Mounted interface {
	// Mounted gets the host names of these sites that may be in the public DNS, in the order of the configuration: no wildcard, no address, no
	// special-use name; none if there is no such site. It is called once when the configuration goes live, before [Starter]. An error fails the
	// load.
	Mounted(hosts []string) error
}

// WaitDefaulter is implemented by a provider for which a homeserver should wait shorter or longer than the usual 5 s.
type WaitDefaulter interface {
	// DefaultWait returns the app's wait where the operator sets none.
	DefaultWait() time.Duration
}

// Starter is implemented by a provider that has something to do when its configuration goes live and not while it is merely
// validated: making a key, for example. An error fails the load.
type Starter interface {
	// Start is called once, after Provision and before the first push.
	Start(ctx context.Context) error
}

// Warmer is implemented by a provider that can get ready for its first push beforehand: connect, get a token. Without that, it is the
// first push after a start that waits for all of it.
type Warmer interface {
	// Warm is called in the background when a configuration has gone live: after [Starter], and after each reload, when what there is
	// from before is kept. It sends no push and no request that is merely made up, and what it cannot do, the first push tries again:
	// its error, which has nothing secret in it, is logged at debug level and changes nothing else. It must return soon after ctx is
	// done, be safe beside any number of pushes, and like them may still be at it when Cleanup is called.
	Warm(ctx context.Context) error
}

// Hoster is implemented by a provider whose pushes go to hosts that devices choose, so that one that is down is left alone without the
// others.
type Hoster interface {
	// Host is where a push for the device goes; empty if it can go nowhere.
	Host(d *Device) string
}

// Identifier is implemented by a provider whose pushes go where a device's data say, and not only its app_id and pushkey. Whoever knows the
// pushkey can put it beside data of their own, and what becomes of their pushes must be none of the device's business: so a verdict, a
// suspicion, pending pushes, and what else the gateway remembers of a device are kept for the app_id, the pushkey and the target.
type Identifier interface {
	// Target returns what of the device's data decides where its pushes go, such as an endpoint's URL, in the same spelling however the data
	// spell it. It is empty if the pushkey decides alone, and for a device that is not usable. The gateway hashes it, and shows it to nobody.
	// It depends on the pushkey and the data only, and is called for every device before anything else, so it is pure and cheap.
	Target(d *Device) string
}

// Expirer is implemented by a provider whose credential ends at some time, so that the operator is told before.
type Expirer interface {
	// CredentialExpiry is when the credential in use now ends; zero if it does not.
	CredentialExpiry() time.Time
}

// Checker is implemented by a provider that can try its credentials at the push service without delivering anything to anybody.
type Checker interface {
	// Check makes at most a few requests, and returns nil if the service takes the credentials. The error says what the operator has
	// to do about it, and has nothing secret in it.
	Check(ctx context.Context) error
}

// Advertiser is implemented by a provider that has something to say in the endpoint's GET document.
type Advertiser interface {
	// Advertise returns what the document says of an app of this provider.
	Advertise() Advertisement
}

// Advertisement is what the endpoint's GET document says of one app.
type Advertisement struct {
	// UnifiedPush says that the endpoint is a Matrix gateway for UnifiedPush,
	// https://unifiedpush.org/developers/gateway/.
	UnifiedPush bool

	// ApplicationServerKey is the VAPID public key (RFC 8292) that a browser or a UnifiedPush client subscribes with: base64url, unpadded, of
	// the 65-byte uncompressed point. Empty if the app has none, or before [Starter].
	ApplicationServerKey string
}
