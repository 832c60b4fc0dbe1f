package xmpp

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// Component is a component of an XMPP server: the server passes all stanzas for the component's domain to the gateway.
type Component struct {
	// The address where the XMPP server accepts connections from components: a host and a port. XEP-0114 has no encryption, so the server
	// should be on the same machine, or in a private network. If the address begins with `tls://`, the gateway connects with TLS, to a
	// proxy in front of the server. Default: `127.0.0.1:5347`.
	Server string `json:"server,omitempty"`

	// The secret that the XMPP server's configuration has for the component. Placeholders are allowed, such as `{file./run/secrets/xmpp}`.
	// Whoever knows the secret can send as any address of the component's domain. Required.
	Secret string `json:"secret,omitempty"`

	// The apps whose devices get pushes of XEP-0357. Each name is the name of an app in `matrix_push`, written exactly as there. It must be
	// an app_id without wildcards. Use different app_ids for XMPP and for Matrix, so a mistake with one doesn't affect the devices of the
	// other.
	Apps map[string]*AppConfig `json:"apps,omitempty"`

	// The app that relays the messages of Push 2.0. Its provider in `matrix_push` must be `webpush_relay`. Default: Push 2.0 is off.
	Push2 string `json:"push2,omitempty"`

	// The domains whose servers may send pushes, and whose users may register. `*.example.org` stands for all domains below `example.org`.
	// `*` stands for all. The gateway refuses pushes from other domains in a way that keeps their registrations. Default: all.
	Allow []string `json:"allow,omitempty"`

	// The domains whose servers may not send pushes, and whose users may not register, even if `allow` includes them. Default: none.
	Deny []string `json:"deny,omitempty"`

	// How many pushes each domain may send. The gateway refuses further pushes. These are lost, because XMPP servers never repeat a push.
	// The users of a domain may send as many registrations again. If more than 4096 domains are active at the same time, the others share
	// one rate. Domains that `allow` lists without `*` always have a separate rate.
	Rate *Rate `json:"rate,omitempty"`

	// How long the gateway collects further pushes for a device after it has sent one. XMPP servers may send more than 20 pushes for a
	// device at once. At the end of this time, only the newest of the collected pushes is sent. A push that shows the same as the sent one,
	// less than 2s after it, is neither collected nor sent. A push that the server marks as a call is always sent at once. The sum of this
	// time and the `wait` of an app can be at most 25s. 0 turns this off. Default: 5s.
	Coalesce *caddy.Duration `json:"coalesce,omitempty"`
}

// Rate is how many pushes a domain may send.
type Rate struct {
	// How many pushes per second a domain may send over a longer time. Default: 100.
	PerSecond float64 `json:"per_second,omitempty"`
	// How many pushes a domain may send at once. Default: 10 times `per_second`.
	Burst int `json:"burst,omitempty"`
}

// AppConfig says how devices of an app register, and what their pushes contain.
type AppConfig struct {
	// The names by which clients choose the app: the values of `pushModule` in their publish-options. The node of such a registration is
	// the device's token, as with the push service fpush. Anybody who knows a token can send pushes to its device.
	Modules []string `json:"modules,omitempty"`

	// Whether the app is for clients that use a token as their node, but don't choose an app. Only one app of a component can be the
	// default.
	Default bool `json:"default,omitempty"`

	// The push services for which clients register with the component: `fcm` and `apns` as with the push service p2, and
	// `tigase:messenger:apns:1` and `tigase:messenger:fcm:1` as with Tigase. Such a client gets a node that contains the device's token in
	// encrypted form, and that only the client's own server can use. In each component, a push service can belong to only one app.
	Register []string `json:"register,omitempty"`

	// What each push contains. It corresponds to the `default_payload` that Matrix clients put in their pusher's data. If the provider is
	// `apns`, the payload must contain an alert, because iOS delays or drops pushes without one. Required for `apns`.
	Payload json.RawMessage `json:"payload,omitempty"`

	// What happens to unimportant pushes, which are those without a text, such as for a chat state or a receipt. `push` sends them like
	// other pushes, `low` sends them with a low priority, and `drop` doesn't send them. ejabberd's pushes for calls also count as
	// unimportant. Default: `low`.
	Unimportant string `json:"unimportant,omitempty"`

	// Whether the gateway also sends a count of one message. By default, it sends only counts above 1, because Prosody and Openfire always
	// count one message.
	Counts bool `json:"counts,omitempty"`

	// How much of the message the gateway sends to the push service, if the XMPP server sends the message. With `wake`, it sends nothing of
	// the message: the app wakes up, and gets the message from its server. With `full`, it sends the sender and the text. `full` also
	// requires `content full` in the app of `matrix_push`. Default: `wake`.
	Content string `json:"content,omitempty"`
}

const (
	defaultServer    = "127.0.0.1:5347"
	defaultCoalesce  = 5 * time.Second
	defaultPerSecond = 100
	maxRate          = 1_000_000
	burstPerSecond   = 10
	// longestAnswer limits the time until a push is answered. ejabberd waits for 32 s.
	longestAnswer = 25 * time.Second

	unimportantPush = "push"
	unimportantLow  = "low"
	unimportantDrop = "drop"

	contentWake = "wake"
	contentFull = "full"

	relayProvider = "webpush_relay"
)

// services are the push services that clients can register for.
var services = []string{"fcm", "apns", stanza.FeatureTigaseAPNs, "tigase:messenger:fcm:1"}

// provision checks the options of a component.
func (c *Component) provision(jid string, g *caddymodule.App) (*service, error) {
	if c == nil {
		return nil, errors.New("secret is missing: write the secret that the XMPP server's configuration has for the component")
	}
	if err := checkDomain(jid); err != nil {
		return nil, fmt.Errorf("the name %w: write the component's domain, such as push.example.org", err)
	}
	s := &service{
		jid: strings.ToLower(jid), engine: g, apps: make(map[string]*target), modules: make(map[string]*target), registers: make(map[string]*target),
		features: []string{stanza.FeaturePush},
	}
	for _, step := range []func(*service) error{c.provisionAddress, c.provisionSenders, c.provisionCoalesce} {
		if err := step(s); err != nil {
			return nil, err
		}
	}
	if err := c.provisionApps(s, g); err != nil {
		return nil, err
	}
	if err := c.provisionPush2(s, g); err != nil {
		return nil, err
	}
	if len(s.apps) == 0 {
		return nil, errors.New("apps: there is none: add an app, or push2")
	}
	return s, nil
}

func (c *Component) provisionAddress(s *service) error {
	secret, err := caddy.NewReplacer().ReplaceOrErr(c.Secret, true, true)
	switch secret = strings.TrimSpace(secret); {
	case c.Secret == "":
		return errors.New("secret is missing: write the secret that the XMPP server's configuration has for the component")
	case err != nil, secret == "": // err might quote a part of the secret
		return errors.New("secret: it is empty, or it is a placeholder without a value: check the file or variable that it names")
	}
	server, encrypted := strings.CutPrefix(c.Server, "tls://")
	if c.Server == "" {
		server = defaultServer
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("server: %s is not an address: write a host and a port, such as 127.0.0.1:5347, or tls://xmpp.example.org:5348",
			nearest.Shown(c.Server))
	}
	s.address = address{jid: s.jid, server: server, tls: encrypted, secret: secret}
	return nil
}

// hostOf returns the host of an address that was checked.
func hostOf(server string) string {
	host, _, _ := net.SplitHostPort(server)
	return host
}

func (c *Component) provisionSenders(s *service) (err error) {
	if s.domains.allowed, err = parseDomains("allow", c.Allow); err != nil {
		return err
	}
	if s.domains.denied, err = parseDomains("deny", c.Deny); err != nil {
		return err
	}
	r := Rate{PerSecond: defaultPerSecond}
	if c.Rate != nil {
		r = *c.Rate
	}
	switch {
	case r.PerSecond < 0 || r.PerSecond == 0 && c.Rate != nil && c.Rate.Burst != 0:
		return errors.New("rate: per_second must be above 0, such as 100")
	case r.Burst < 0:
		return errors.New("rate: burst must be above 0, such as 1000")
	case r.PerSecond > maxRate || r.Burst > maxRate:
		return fmt.Errorf("rate: per_second and burst must be at most %d", maxRate)
	case r.PerSecond == 0:
		r.PerSecond = defaultPerSecond
	}
	if r.Burst == 0 {
		r.Burst = max(1, int(r.PerSecond*burstPerSecond))
	}
	known := slices.DeleteFunc(slices.Clone(s.domains.allowed), func(name string) bool { return strings.HasPrefix(name, "*") })
	s.rates = newRates(r.PerSecond, r.Burst, known)
	return nil
}

func (c *Component) provisionCoalesce(s *service) error {
	s.window = defaultCoalesce
	if c.Coalesce != nil {
		s.window = time.Duration(*c.Coalesce)
	}
	if s.window < 0 || s.window > longestAnswer {
		return fmt.Errorf("coalesce: %s is not between 0s and %s", s.window, longestAnswer)
	}
	return nil
}

// isPattern reports whether a name may stand for several app_ids.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?") }

// claim returns an app of matrix_push.
func (s *service) claim(g *caddymodule.App, option, appID string) (*gateway.App, error) {
	if appID == "" || isPattern(appID) {
		return nil, fmt.Errorf("%s: %s is a pattern: write an app_id, and configure an app with this name in matrix_push", option, nearest.Shown(appID))
	}
	app := g.Claim(appID)
	if app == nil {
		there := slices.DeleteFunc(g.Patterns(), isPattern)
		return nil, fmt.Errorf("%s: add the app %s to matrix_push, which lacks it%s", option, nearest.Shown(appID), nearest.Instead(appID, "apps", there))
	}
	if s.window+app.Wait > longestAnswer {
		return nil, fmt.Errorf("coalesce: %s and the wait of the app %q, %s, are more than %s together: make one of them shorter",
			s.window, appID, app.Wait, longestAnswer)
	}
	return app, nil
}

func (c *Component) provisionApps(s *service, g *caddymodule.App) error {
	for _, appID := range slices.Sorted(maps.Keys(c.Apps)) {
		app, err := s.claim(g, "apps", appID)
		if err != nil {
			return err
		}
		if err := c.Apps[appID].provision(s, app); err != nil {
			return fmt.Errorf("app %q: %w", appID, err)
		}
	}
	if len(s.registers) > 0 {
		s.features = append(s.features, stanza.FeatureCommands)
	}
	if s.registers[stanza.FeatureTigaseAPNs] != nil {
		s.features = append(s.features, stanza.FeatureTigaseAPNs)
	}
	if len(s.registers) > 0 || s.isDirect() {
		s.features = append(s.features, stanza.FeatureEncryption)
	}
	return nil
}

func (c *Component) provisionPush2(s *service, g *caddymodule.App) error {
	if c.Push2 == "" {
		return nil
	}
	app, err := s.claim(g, "push2", c.Push2)
	switch {
	case err != nil:
		return err
	case app.ProviderName != relayProvider:
		return fmt.Errorf("push2: the provider of the app %q is %s: use an app with the provider %s", c.Push2, app.ProviderName, relayProvider)
	}
	s.relay = &target{appID: c.Push2}
	s.apps[c.Push2] = s.relay
	s.features = append(s.features, stanza.FeaturePush2)
	return nil
}
