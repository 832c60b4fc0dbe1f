// Package bell is a provider for a made-up push service, in a separate module. The service takes JSON over HTTPS, with a token.
package bell

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
)

func init() { caddy.RegisterModule(new(Provider)) }

// Provider delivers notifications through Bell. A pushkey is the 32 hexadecimal digits that Bell gave the app.
type Provider struct {
	network.Options

	// The file with the token that Bell gave the operator. It is read again when it is replaced. Placeholders are allowed. Required.
	TokenFile string `json:"token_file,omitempty"`

	token  *keyfile.File[string]
	client *service.Client
}

// CaddyModule names the module.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.bell", New: func() caddy.Module { return new(Provider) }}
}

// UnmarshalCaddyfile reads the provider's block:
//
//	bell {
//		token_file <file>
//		endpoint   <url>
//		trusted_ca <file>
//		proxy      <url>|none
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return network.Unmarshal(d, &p.Options, map[string]*string{"token_file": &p.TokenFile})
}

// Provision reads the token and makes the client, which connects when the first push is sent.
func (p *Provider) Provision(ctx caddy.Context) (err error) {
	if p.token, err = keyfile.OpenLine("token_file", p.TokenFile, ctx.Logger()); err != nil {
		return err
	}
	p.client, err = service.ForHost("bell.example.org", &p.Options)
	return err
}

// Cleanup releases the connections. If Provision failed, the client may be nil, and Close does nothing.
func (p *Provider) Cleanup() error { return p.client.Close() }

// form is the form of a pushkey.
var form = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Usable returns an error for a pushkey that Bell can never have given to anybody.
func (*Provider) Usable(d *providers.Device, _ providers.Site) error {
	if !form.MatchString(d.Pushkey) {
		return &providers.UnusableError{Reason: "bad_pushkey", Err: errors.New("the pushkey is not 32 hexadecimal digits")}
	}
	return nil
}

// path is where bells are; a pushkey follows.
const path = "/v1/bells/"

// Push rings a bell, once.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	if err := p.Usable(push.Device, push.Site); err != nil {
		return providers.Unusable("bad_pushkey", err)
	}
	header := header()
	header.Set("Authorization", "Bearer "+p.token.Get())
	answer, err := p.client.Post(ctx, path+push.Device.Pushkey, header, message(push.Notification))
	if err != nil {
		return network.Failed(err)
	}
	return outcome(answer)
}

// Preview shows what Push would send, without the pushkey and the token.
func (p *Provider) Preview(push *providers.Push) providers.Preview {
	if err := p.Usable(push.Device, push.Site); err != nil {
		return providers.Previewed(providers.Unusable("bad_pushkey", err))
	}
	return providers.Preview{Requests: []providers.Request{{
		Method: http.MethodPost, URL: p.client.URL(path).String() + providers.Masked, Header: header(), Body: message(push.Notification),
	}}}
}

// header returns the headers of a request, except the token.
func header() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// body is the JSON that Bell takes.
type body struct {
	Ring  bool   `json:"ring"` // otherwise, only the number changes
	Badge *int64 `json:"badge,omitempty"`
	Room  string `json:"room_id,omitempty"`
	Event string `json:"event_id,omitempty"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
}

// message returns the body for a notification. A badge update rings nothing: a room was read. Without content full, there is no text.
func message(n *providers.Notification) []byte {
	return clientjson.Marshal(body{
		Ring: !n.Badge, Badge: n.Counts.Unread, Room: n.RoomID, Event: n.EventID,
		Title: n.SenderDisplayName, Text: clientjson.String(n.Content, "body"),
	})
}

// outcome classifies Bell's answers as its documentation would describe them.
func outcome(a *service.Answer) providers.Outcome {
	switch a.Status {
	case http.StatusUnauthorized:
		return providers.Misconfigured("token_refused", errors.New("the token in token_file is refused"))
	case http.StatusGone: // "The app was uninstalled." If a wrong setting had it too, the outcome would be Doubtful.
		return providers.Rejected("gone")
	case http.StatusTooManyRequests: // "Each bell rings 60 times an hour." It concerns this device only.
		return providers.Limited("rate_limited", a.RetryAfter(), nil)
	default: // answers that mean the same everywhere: 2xx, a refused message, an outage
		return a.Outcome()
	}
}

// Usable and Previewer are optional: without these lines, the compiler would not find a misspelt method name.
var (
	_ providers.Usable    = (*Provider)(nil)
	_ providers.Previewer = (*Provider)(nil)
)
