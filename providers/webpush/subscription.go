package webpush

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	webpushgo "github.com/SherClockHolmes/webpush-go"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

// pusher is a device's subscription and options. It is immutable.
type pusher struct {
	endpoint *url.URL
	keys     ece.Keys

	eventsOnly      bool
	onlyLastPerRoom bool
	defaults        []lenient.Member // of its default_payload, without those that only the homeserver may set
	wrongDefaults   bool             // whether its default_payload is not an object
}

// pusherData is a pusher's data; only `true` turns an option on, and a member of another type counts as absent.
type pusherData struct {
	Endpoint        text            `json:"endpoint"`
	Auth            text            `json:"auth"`
	EventsOnly      json.RawMessage `json:"events_only"`
	OnlyLastPerRoom json.RawMessage `json:"only_last_per_room"`
	DefaultPayload  json.RawMessage `json:"default_payload"`
}

// text is a JSON string, if the value is one. It is read together with the rest of the data: decoding it separately would take a large part
// of [Provider.Usable]'s time.
type text struct {
	value string
	given bool
}

// UnmarshalJSONFrom ignores values of other types, which may not matter.
func (s *text) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	*s = text{}
	if decoder.PeekKind() != '"' {
		return decoder.SkipValue()
	}
	token, err := decoder.ReadToken()
	if err == nil {
		*s = text{value: token.String(), given: true}
	}
	return err
}

// badSubscription is the reason for a device without a subscription to send to.
const badSubscription = "bad_subscription"

// Usable returns an error if the device does not name a subscription, or names one on this site's host where there is no push server:
// Sable's is at a UnifiedPush server that its user chose. Push ignores the site, so pushes that are pending since before a reload are sent.
func (p *Provider) Usable(d *providers.Device, site providers.Site) error {
	to, err := p.known.Get(d, parsePusher)
	if err != nil {
		return &providers.UnusableError{Reason: badSubscription, Err: err}
	}
	if err := p.sender.Astray(to.endpoint, site); err != nil {
		return &providers.UnusableError{Reason: badSubscription, Err: fmt.Errorf("endpoint: %w", err), Doubtful: true}
	}
	return nil
}

// parsePusher reads both forms of a subscription. An error names the member and never shows its value.
func parsePusher(d *providers.Device) (*pusher, error) {
	var data pusherData
	if len(d.Data) > 0 {
		if err := lenient.Unmarshal(d.Data, &data); err != nil {
			return nil, errors.New("data is not an object")
		}
	}
	sub, err := subscription(d.Pushkey, data)
	if err != nil {
		return nil, err
	}
	p := &pusher{
		eventsOnly: string(data.EventsOnly) == "true", onlyLastPerRoom: string(data.OnlyLastPerRoom) == "true",
		defaults: defaultsIn(data.DefaultPayload), wrongDefaults: isWrong(data.DefaultPayload),
	}
	if p.endpoint, err = endpoint.Parse(sub.Endpoint); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if p.keys, err = ece.ParseKeys(sub.Keys.P256dh, sub.Keys.Auth); err != nil {
		return nil, err
	}
	return p, nil
}

// Host returns the host and port of the subscription's endpoint. Of a device that is not remembered, it reads only the endpoint.
func (p *Provider) Host(d *providers.Device) string {
	if to, ok := p.known.Peek(d); ok {
		return p.sender.HostOf(to.endpoint)
	}
	if isSubscription(d.Pushkey) {
		sub, _ := parseSubscription(d.Pushkey)
		return p.sender.Host(sub.Endpoint)
	}
	return p.sender.Host(endpointIn(d.Data))
}

// Target returns the endpoint if the pushkey is only the subscription's key: otherwise, anyone who knows the key could condemn the
// subscription with their own endpoint. A pushkey that is the whole subscription contains its endpoint. As [Provider.Host], it reads only
// the endpoint of a device that is not remembered.
func (p *Provider) Target(d *providers.Device) string {
	if isSubscription(d.Pushkey) || len(d.Data) == 0 {
		return ""
	}
	if to, ok := p.known.Peek(d); ok {
		return endpoint.TargetOf(to.endpoint)
	}
	return endpoint.Target(endpointIn(d.Data))
}

// endpointIn returns the endpoint in a pusher's data; empty if there is none.
func endpointIn(data json.RawMessage) string {
	var members struct {
		Endpoint text `json:"endpoint"`
	}
	if lenient.Unmarshal(data, &members) != nil {
		return ""
	}
	return members.Endpoint.value
}

func subscription(pushkey string, data pusherData) (webpushgo.Subscription, error) {
	if isSubscription(pushkey) {
		return parseSubscription(pushkey)
	}
	var sub webpushgo.Subscription
	switch {
	case !data.Endpoint.given:
		return sub, errors.New("data.endpoint is not a string")
	case !data.Auth.given:
		return sub, errors.New("data.auth is not a string")
	}
	sub.Endpoint, sub.Keys.Auth, sub.Keys.P256dh = data.Endpoint.value, data.Auth.value, pushkey
	return sub, nil
}

// isSubscription reports whether a pushkey is a browser's PushSubscription, rather than only its key.
func isSubscription(pushkey string) bool { return strings.HasPrefix(strings.TrimSpace(pushkey), "{") }

func parseSubscription(pushkey string) (sub webpushgo.Subscription, err error) {
	if lenient.Unmarshal([]byte(pushkey), &sub) != nil {
		return webpushgo.Subscription{}, errors.New("the pushkey is not a PushSubscription")
	}
	return sub, nil
}
