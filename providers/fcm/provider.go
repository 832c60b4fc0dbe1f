// Package fcm delivers to Android devices, and to whatever else is registered with Google's Firebase Cloud Messaging.
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

// Provider delivers through Firebase Cloud Messaging, by its HTTP v1 API. The pushkey is the registration token, or, with
// `target fid`, the Firebase installation ID.
//
// The objects of FCM's may have their members in both spellings of FCM's JSON, `collapse_key` and `collapseKey`. They are checked when the
// configuration loads: an unknown member, a value of another type or beyond FCM's limits, and a member that the gateway sets are errors.
//
// The message is data alone, as Sygnal sends it: the `default_payload` of the pusher's data, `event_id`, `room_id`, `prio`, `unread`,
// `missed_calls`, and with `content full` the rest of the notification, too, each value a string of at most 1024 bytes. A pusher with
// `data_message` in its data gets the form that FluffyChat reads from Hedwig. A message that is too large loses content first, then
// names.
//
// The credentials file is read again when it is replaced; a replacement that cannot be used is logged as an error, and the credential
// stays as it was.
type Provider struct {
	network.Options

	// The file of a service account's key, of an authorized user's credentials (`gcloud auth application-default login`), or of workload
	// identity federation. Placeholders are allowed. Default: Google's application default credentials, such as those of the machine that
	// this runs on.
	CredentialsFile string `json:"credentials_file,omitempty"`

	// The ID of the Firebase project. Placeholders are allowed. Default: that of the credentials.
	ProjectID string `json:"project_id,omitempty"`

	// What the pushkeys of this app are: `token` for registration tokens, `fid` for Firebase installation IDs, which FCM recommends in the
	// place of registration tokens. Default: `token`.
	Target string `json:"target,omitempty"`

	// What is shown: a Notification object of FCM's (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages), in each
	// message but badge updates. Default: none, the app decides.
	Notification json.RawMessage `json:"notification,omitempty"`

	// An AndroidConfig object of FCM's, to be merged into each message. Its `priority` is the notification's, and its `ttl` is what
	// remains of the app's unless it is given. Default: none.
	Android json.RawMessage `json:"android,omitempty"`

	// An AndroidConfigV2 object of FCM's (https://firebase.google.com/docs/cloud-messaging/send/v2-api), to be merged into each message in the
	// place of `android`. In a badge update, `background_sync` takes the place of `remote_notification`. Default: none.
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

// Provision checks the options and reads the credentials. Nothing is asked of Google, unless the credentials are those of a machine of
// Google's, which its metadata server has.
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

// What a pushkey is.
const (
	targetToken = "token"
	targetFID   = "fid"
)

// projectID is what the ID of a project may consist of; older ones begin with a domain.
var projectID = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]*$`)

// project is the option's, or that of the credentials.
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
		return "", errors.New("it is missing, and the credentials name none")
	case !projectID.MatchString(project):
		return "", fmt.Errorf("%q is not the ID of a project", project)
	}
	return project, nil
}

// Cleanup lets go of the connections and the access token.
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
