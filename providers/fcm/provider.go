// Package fcm delivers to Android devices, and to everything else registered with Google's Firebase Cloud Messaging.
package fcm

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider delivers through Firebase Cloud Messaging and its HTTP v1 API. The pushkey is the registration token, or, with `target fid`, the
// Firebase installation ID.
//
// Members of FCM's objects may have either spelling of FCM's JSON, `collapse_key` or `collapseKey`. They are checked when the configuration
// loads. Unknown members, values of a wrong type or beyond FCM's limits, and members that the gateway sets are errors.
//
// The message has only data, as in Sygnal: the `default_payload` of the pusher's data, `event_id`, `room_id`, `prio`, `unread` and
// `missed_calls`. With `content full`, it also has the rest of the notification. Each value is a string of at most 1024 bytes. A pusher
// with `data_message` in its data gets the form that FluffyChat reads from Hedwig. A message that is too large loses content first, then
// names.
//
// The credentials file is read again when it is replaced. If a replacement cannot be used, an error is logged and the old credential stays
// in use.
type Provider struct {
	network.Options

	// The file of a service account's key, of an authorized user's credentials (`gcloud auth application-default login`), or of workload
	// identity federation. Placeholders are allowed. Default: Google's application default credentials, such as those of the machine that
	// runs the gateway.
	CredentialsFile string `json:"credentials_file,omitempty"`

	// The ID of the Firebase project. Placeholders are allowed. Default: the project of the credentials.
	ProjectID string `json:"project_id,omitempty"`

	// What the pushkeys of this app are: `token` for registration tokens, `fid` for Firebase installation IDs, which FCM recommends
	// instead. Default: `token`.
	Target string `json:"target,omitempty"`

	// What the device shows: a Notification object of FCM's (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages), in
	// each message except badge updates. Default: none, the app decides.
	Notification json.RawMessage `json:"notification,omitempty"`

	// An AndroidConfig object of FCM's, to be merged into each message. The gateway sets its `priority` from the notification. Its `ttl`,
	// unless given, is what remains of the app's `ttl`. Default: none.
	Android json.RawMessage `json:"android,omitempty"`

	// An AndroidConfigV2 object of FCM's (https://firebase.google.com/docs/cloud-messaging/send/v2-api), to be merged into each message
	// instead of `android`. In a badge update, `background_sync` replaces `remote_notification`. Default: none.
	AndroidV2 json.RawMessage `json:"android_v2,omitempty"`

	// An ApnsConfig object of FCM's, for Apple devices behind FCM, to be merged into each message. Default: none.
	APNS json.RawMessage `json:"apns,omitempty"`

	// A WebpushConfig object of FCM's, to be merged into each message. Default: none.
	Webpush json.RawMessage `json:"webpush,omitempty"`

	// An FcmOptions object of FCM's, with the label for its analytics, to be merged into each message. Default: none.
	FCMOptions json.RawMessage `json:"fcm_options,omitempty"`

	template *template
	faults   *clientjson.Faults
	client   *client
}

// CaddyModule returns the module's name and constructor.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.fcm", New: func() caddy.Module { return new(Provider) }}
}

// Provision checks the options and reads the credentials. It sends nothing to Google, unless the credentials are those of a Google machine:
// its metadata server has them.
func (p *Provider) Provision(ctx caddy.Context) error {
	settings, err := p.Resolve()
	if err != nil {
		return err
	}
	if p.Target != "" && p.Target != targetToken && p.Target != targetFID {
		return fmt.Errorf("target: %q is neither token nor fid", p.Target)
	}
	p.faults = clientjson.NewFaults(ctx.Logger())
	if p.template, err = newTemplate(p); err != nil {
		return err
	}
	path, err := keyfile.Resolve(p.CredentialsFile)
	if err != nil {
		return fmt.Errorf("credentials_file: %w", err)
	}
	tokens, err := newTokens(path, settings, ctx.Logger())
	if err != nil {
		return fmt.Errorf("credentials_file: %w", err)
	}
	project, err := p.project(tokens)
	if err != nil {
		return errors.Join(fmt.Errorf("project_id: %w", err), tokens.Close())
	}
	if p.client, err = newClient(project, settings, tokens); err != nil {
		return errors.Join(err, tokens.Close())
	}
	return nil
}

// These are the kinds of pushkeys.
const (
	targetToken = "token"
	targetFID   = "fid"
)

// projectID matches the ID of a project; older ones begin with a domain.
var projectID = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]*$`)

// project returns the option's project, or the credentials'.
func (p *Provider) project(tokens *tokens) (string, error) {
	project, err := keyfile.Resolve(p.ProjectID)
	if err != nil {
		return "", err
	}
	if project == "" {
		project = tokens.project()
	}
	switch {
	case project == "":
		return "", errors.New("missing, and the credentials name none: set it")
	case !projectID.MatchString(project):
		return "", fmt.Errorf("%q is not a project's ID", project)
	}
	return project, nil
}

// Cleanup releases the connections and the access token.
func (p *Provider) Cleanup() error { return p.client.close() }

// Interface guards
var (
	_ caddy.Provisioner  = (*Provider)(nil)
	_ caddy.CleanerUpper = (*Provider)(nil)
	_ providers.Provider = (*Provider)(nil)
	_ providers.Usable   = (*Provider)(nil)
	_ providers.Reducer  = (*Provider)(nil)
	_ providers.Checker  = (*Provider)(nil)
	_ providers.Warmer   = (*Provider)(nil)
)
