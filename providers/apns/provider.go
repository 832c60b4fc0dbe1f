// Package apns delivers to Apple's devices, through the Apple Push Notification service.
package apns

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/internal/pushtype"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider delivers to Apple devices through APNs. The pushkey is the device token: an even number of hexadecimal digits, at least 64. It
// can also be the token's bytes, encoded as base64 or base64url.
//
// The provider authenticates with a provider token (`key_file`, `key_id`, `team_id`) or with a certificate (`certificate_file`). When you
// replace one of these files, the provider reads it again. If it cannot use the new file, it logs an error and continues with the old
// credential.
//
// By default, an app has `content event_id_only`. The payload then consists of the `default_payload` from the pusher's data, with
// `room_id`, `event_id`, `unread_count` and `missed_calls` added. If that `default_payload` has no alert, the push is a background push,
// which makes the app sync. If the homeserver sends only the event's ID (the pusher's format is `event_id_only`), the payload is the same
// even with `content full`.
//
// With `content full`, the alert has the same localisation keys and arguments as Sygnal's, such as `MSG_FROM_USER_IN_ROOM_WITH_CONTENT`. If
// the payload is too large, the gateway shortens the alert.
type Provider struct {
	network.Options

	// The APNs environment that the app's device tokens belong to: `production`, or `sandbox` for builds from Xcode. A device token is valid
	// in only one environment, so each environment needs a separate app_id. Default: `production`.
	Environment string `json:"environment,omitempty"`

	// The topic: the app's bundle ID. For some push types, a suffix follows, such as `.voip`. The suffix determines the push type.
	// Placeholders are allowed. Default: the topic of the certificate. Required with `key_file`.
	Topic string `json:"topic,omitempty"`

	// The file with the key that signs provider tokens, `AuthKey_<key id>.p8`. Placeholders are allowed.
	KeyFile string `json:"key_file,omitempty"`

	// The ID of the key in `key_file`: 10 characters. Placeholders are allowed.
	KeyID string `json:"key_id,omitempty"`

	// The ID of the developer team that the key belongs to: 10 characters. Placeholders are allowed.
	TeamID string `json:"team_id,omitempty"`

	// The file with the client certificate: a PEM file, or a PKCS#12 file that also contains the key. Placeholders are allowed.
	CertificateFile string `json:"certificate_file,omitempty"`

	// The PEM file with the certificate's key. Placeholders are allowed. Default: the key is read from `certificate_file`.
	CertificateKeyFile string `json:"certificate_key_file,omitempty"`

	// The password of the PKCS#12 file or of the PEM key. Placeholders are allowed. Use a placeholder to keep the password out of the
	// configuration. Default: no password.
	CertificatePassword string `json:"certificate_password,omitempty"`

	// The push type: `alert`, `background`, `voip`, `complication`, `fileprovider`, `location`, `liveactivity`, `pushtotalk`, `widgets`,
	// `controls` or `mdm`. It must match the topic. Default: the type that belongs to the topic's suffix, such as `voip` for `.voip`. For a
	// topic without a suffix, it is `alert`, or `background` if the push has nothing to show.
	PushType string `json:"push_type,omitempty"`

	// Sets which earlier push a new push replaces, if the earlier one is still shown or pending. `room`: a push of the same room. `event`: a
	// push of the same event. `off`: none. Default: `off`.
	CollapseID string `json:"collapse_id,omitempty"`

	// How the device groups notifications. With `room`, it groups them by room. With `off`, the gateway sets no thread ID. If the
	// `default_payload` has a `thread-id`, that one applies. Default: `off`.
	ThreadID string `json:"thread_id,omitempty"`

	topic      string
	pushType   pushtype.Type
	faults     *clientjson.Faults
	known      *readonce.Devices[*defaults] // nil before Provision
	share      *pooled.Share[*readonce.Devices[*defaults]]
	server     *url.URL
	credential credential
	client     *service.Client
	renewal    *renewal
}

// known has the default_payloads of all apps, so strangers can't use more memory with more apps.
var known = pooled.NewPool[*readonce.Devices[*defaults]]()

// CaddyModule returns the module's name and constructor.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.apns", New: func() caddy.Module { return new(Provider) }}
}

const (
	production = "production"
	sandbox    = "sandbox"
)

// Provision checks the options and reads the credential. It sends nothing to Apple.
func (p *Provider) Provision(ctx caddy.Context) error {
	settings, err := p.Resolve()
	if err != nil {
		return err
	}
	if err := p.checkOptions(); err != nil {
		return err
	}
	p.faults, p.renewal = clientjson.NewFaults(ctx.Logger()), new(renewal)
	if p.share, err = known.Take("", readonce.New[*defaults]); err != nil {
		return err
	}
	p.known = p.share.Value
	if p.credential, err = p.loadCredential(ctx.Logger(), p.renewConnections); err != nil {
		return err
	}
	if err = p.decideTopic(); err != nil {
		return err
	}
	p.client, err = service.NewClient(service.Options{
		Server: p.server, Settings: settings, Certificate: p.credential.clientCertificate(), Identity: p.credential.identity(),
		HTTP2Only: true,
	})
	return err
}

func (p *Provider) checkOptions() error {
	var host string
	switch p.Environment {
	case "", production:
		host = apns2.HostProduction
	case sandbox:
		host = apns2.HostDevelopment
	default:
		return fmt.Errorf("environment: %q is neither production nor sandbox", p.Environment)
	}
	p.server, _ = url.Parse(host)
	if _, known := pushtype.Named(p.PushType); !known && p.PushType != "" {
		return fmt.Errorf("push_type: %q is not one of Apple's: leave it out to let the topic's ending decide", p.PushType)
	}
	switch p.CollapseID {
	case "", "off", "room", "event":
	default:
		return fmt.Errorf("collapse_id: %q is neither room, event nor off", p.CollapseID)
	}
	switch p.ThreadID {
	case "", "off", "room":
	default:
		return fmt.Errorf("thread_id: %q is neither room nor off", p.ThreadID)
	}
	return nil
}

// renewConnections is called when the certificate was replaced, since connections use it.
func (p *Provider) renewConnections() {
	if p.client != nil {
		p.client.Renew()
	}
}

// Cleanup releases the connections and the provider token.
func (p *Provider) Cleanup() error {
	err := errors.Join(p.client.Close(), p.share.Release())
	if p.credential != nil {
		err = errors.Join(err, p.credential.close())
	}
	return err
}

// DefaultWait returns 0: the specification recommends not waiting for APNs,
// https://spec.matrix.org/v1.15/push-gateway-api/#recommendations-for-apns.
func (p *Provider) DefaultWait() time.Duration { return 0 }

// CredentialExpiry returns when the certificate expires; a key does not.
func (p *Provider) CredentialExpiry() time.Time { return p.credential.expiry() }

// Interface guards
var (
	_ caddy.Provisioner       = (*Provider)(nil)
	_ caddy.CleanerUpper      = (*Provider)(nil)
	_ providers.Provider      = (*Provider)(nil)
	_ providers.Explainer     = (*Provider)(nil)
	_ providers.Usable        = (*Provider)(nil)
	_ providers.Reducer       = (*Provider)(nil)
	_ providers.Previewer     = (*Provider)(nil)
	_ providers.WaitDefaulter = (*Provider)(nil)
	_ providers.Expirer       = (*Provider)(nil)
	_ providers.Checker       = (*Provider)(nil)
	_ providers.Warmer        = (*Provider)(nil)
	_ providers.Concurrency   = (*Provider)(nil)
)
