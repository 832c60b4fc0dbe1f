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
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider delivers to Apple's devices. The pushkey is the device token: hexadecimal with an even number of digits, at least 64, or base64
// or base64url of its bytes.
//
// The provider authenticates with a provider token (`key_file`, `key_id`, `team_id`) or with a certificate (`certificate_file`). The files
// are read again when they are replaced. If a replacement cannot be used, an error is logged and the old credential stays in use.
//
// Notifications in the format event_id_only, and all notifications of an app with `content event_id_only` (the default), become the
// `default_payload` of the pusher's data with `room_id`, `event_id`, `unread_count` and `missed_calls` added. If that `default_payload` has
// no alert, they become a background push that lets the app sync. With `content full`, the alert has Sygnal's localisation keys and
// arguments (`MSG_FROM_USER_IN_ROOM_WITH_CONTENT` and so on), cut to fit.
type Provider struct {
	network.Options

	// Which of Apple's environments the app's devices are registered with: `production`, or `sandbox` for builds from Xcode. Device tokens
	// differ between them, so each environment needs a separate app_id. Default: `production`.
	Environment string `json:"environment,omitempty"`

	// The topic: the app's bundle ID, followed by the ending of the push type, such as `.voip`. The ending decides the push type.
	// Placeholders are allowed. Default: the topic of the certificate; required with a key.
	Topic string `json:"topic,omitempty"`

	// The file of the key that signs provider tokens, `AuthKey_<key id>.p8`. Placeholders are allowed.
	KeyFile string `json:"key_file,omitempty"`

	// The key's ID: 10 characters. Placeholders are allowed.
	KeyID string `json:"key_id,omitempty"`

	// The ID of the developer team that the key belongs to: 10 characters. Placeholders are allowed.
	TeamID string `json:"team_id,omitempty"`

	// The file of the client certificate: PEM, or PKCS#12 with its key. Placeholders are allowed.
	CertificateFile string `json:"certificate_file,omitempty"`

	// The PEM file of the certificate's key. Placeholders are allowed. Default: the key is in `certificate_file`.
	CertificateKeyFile string `json:"certificate_key_file,omitempty"`

	// The password of the PKCS#12 file, or of the PEM key. Placeholders are allowed, and recommended. Default: none.
	CertificatePassword string `json:"certificate_password,omitempty"`

	// The push type: `alert`, `background`, `voip`, `complication`, `fileprovider`, `location`, `liveactivity`, `pushtotalk`, `widgets`,
	// `controls` or `mdm`. It must match the topic. Default: the type of the topic's ending, such as `voip` for `.voip`. Without an ending,
	// it is `alert`, or `background` for a push with nothing to show.
	PushType string `json:"push_type,omitempty"`

	// Which pushes replace an earlier one that is still shown or pending: those of the same `room`, or of the same `event`. Default: `off`.
	CollapseID string `json:"collapse_id,omitempty"`

	// What the device groups notifications by: `room`. Default: `off`, or the thread-id of the `default_payload`.
	ThreadID string `json:"thread_id,omitempty"`

	topic      string
	pushType   pushtype.Type
	faults     *clientjson.Faults
	server     *url.URL
	credential credential
	client     *service.Client
	renewal    *renewal
}

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
	err := p.client.Close()
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
	_ providers.Usable        = (*Provider)(nil)
	_ providers.Reducer       = (*Provider)(nil)
	_ providers.WaitDefaulter = (*Provider)(nil)
	_ providers.Expirer       = (*Provider)(nil)
	_ providers.Checker       = (*Provider)(nil)
	_ providers.Warmer        = (*Provider)(nil)
)
