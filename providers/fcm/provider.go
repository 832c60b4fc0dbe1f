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

// Provider delivers through Firebase Cloud Messaging (FCM), with its HTTP v1 API. The pushkey is the registration token. With `target fid`,
// it is the Firebase installation ID.
//
// Some options are JSON objects of FCM's API. The field names in these objects can have either of two styles, such as `collapse_key` or
// `collapseKey`. One object may use both styles. The gateway checks these objects when the configuration loads. The configuration fails to
// load if an object contains an unknown field, a value of the wrong type, or a value beyond FCM's limits. It also fails if an object
// contains a field that the gateway sets itself.
//
// By default, a message is a data message, as with Sygnal: it contains the `default_payload` in the pusher's data, `event_id`, `room_id`,
// `prio`, `unread` and `missed_calls`. With `content full`, it also contains the rest of the notification. Each value is a string of at
// most 1024 bytes. If a message is too large, the gateway first leaves out the event's `content`, then names, such as the room's name.
//
// If the pusher's data has `data_message`, or the app_id ends with `.data_message`, the message has FluffyChat's format. This format comes
// from Hedwig, FluffyChat's own gateway.
//
// When you replace the credentials file, the provider reads it again. If it cannot use the new file, it logs an error and continues with
// the old credential.
type Provider struct {
	network.Options

	// The file with the credentials: a service account's key, an authorized user's credentials (`gcloud auth application-default login`), or a
	// configuration of workload identity federation. Placeholders are allowed. Default: Google's application default credentials, such as
	// those of the machine that runs the gateway.
	CredentialsFile string `json:"credentials_file,omitempty"`

	// The ID of the Firebase project. Placeholders are allowed. Default: the project that the credentials belong to.
	ProjectID string `json:"project_id,omitempty"`

	// The kind of pushkey that this app uses: `token` for registration tokens, or `fid` for Firebase installation IDs, which FCM recommends.
	// Default: `token`.
	Target string `json:"target,omitempty"`

	// The notification that FCM itself shows on the device: an FCM Notification object
	// (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages). The gateway adds it to all messages except badge updates.
	// Default: none; the app decides what to show.
	Notification json.RawMessage `json:"notification,omitempty"`

	// An FCM AndroidConfig object. The gateway merges it into each message. The gateway sets `priority` to the priority of the notification.
	// If the object has no `ttl`, the gateway sets it to the time that remains of the app's `ttl`. Default: none.
	Android json.RawMessage `json:"android,omitempty"`

	// An FCM AndroidConfigV2 object (https://firebase.google.com/docs/cloud-messaging/send/v2-api), in place of `android`. The gateway merges
	// it into each message. For a badge update, the gateway sends `background_sync` in place of `remote_notification`. Default: none.
	AndroidV2 json.RawMessage `json:"android_v2,omitempty"`

	// An FCM ApnsConfig object, for Apple devices that get their pushes through FCM. The gateway merges it into each message. Default: none.
	APNS json.RawMessage `json:"apns,omitempty"`

	// An FCM WebpushConfig object. The gateway merges it into each message. Default: none.
	Webpush json.RawMessage `json:"webpush,omitempty"`

	// An FCM FcmOptions object, which has the label for FCM's analytics. The gateway merges it into each message. Default: none.
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
		return "", fmt.Errorf("%q is not a project's ID such as example-app-1234", project)
	}
	return project, nil
}

// Cleanup releases the connections and the access token.
func (p *Provider) Cleanup() error { return p.client.close() }

// Interface guards
var (
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddy.CleanerUpper    = (*Provider)(nil)
	_ providers.Provider    = (*Provider)(nil)
	_ providers.Explainer   = (*Provider)(nil)
	_ providers.Usable      = (*Provider)(nil)
	_ providers.Reducer     = (*Provider)(nil)
	_ providers.Previewer   = (*Provider)(nil)
	_ providers.Checker     = (*Provider)(nil)
	_ providers.Warmer      = (*Provider)(nil)
	_ providers.Concurrency = (*Provider)(nil)
)
