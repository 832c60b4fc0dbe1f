package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/hint"
)

// nobody is a registration token that no app has.
var nobody = strings.Repeat("0", 64)

// Check lets FCM validate, but not deliver, a message with the app's options to a device that does not exist. Google checks the credentials
// and the project before FCM looks for the device, so an unknown device must be its only complaint. Only the first real push shows whether
// the devices' tokens are of this project.
//
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send
func (p *Provider) Check(ctx context.Context) error {
	now := time.Now()
	push := &providers.Push{
		Notification: &providers.Notification{}, Device: &providers.Device{Pushkey: nobody}, Expires: now.Add(time.Hour),
	}
	a, err := p.client.send(ctx, p.template.request(validating, push, nil, now))
	if err != nil {
		return unsent(err)
	}
	o := p.outcome(a, now)
	if f := a.failure(); o.Reason == "invalid_token" && f.about(optionFields...) {
		o = providers.Misconfigured("invalid_option", f.complaint()) // FCM names all invalid fields
		o.Word = f.word()
	}
	return checked(o)
}

// unsent returns what to do about a check that got no answer from FCM.
func unsent(err error) error {
	o := failed(err)
	var none *credentialError
	var refused *oauth2.RetrieveError
	if o.Reason == "credentials_refused" && errors.As(err, &none) && errors.As(none.err, &refused) {
		return hint.Error(o, grantHint(refused.Body))
	}
	return checked(o)
}

// checked returns what the operator must do about the outcome of a check; nil if nothing is wrong.
func checked(o providers.Outcome) error {
	switch {
	case o.Reason == "invalid_token", o.Reason == unregistered:
		return nil // only the device is wrong
	case o.Kind == providers.KindDelivered:
		return errors.New("the server accepted a message for a device that does not exist, so it is not FCM: check endpoint and proxy")
	}
	return hint.Error(o, hintFor(o))
}

// grantHint returns what to do about a refusal by the token endpoint. It quotes nothing of the description, which may contain what was
// sent.
func grantHint(body []byte) string {
	var said struct {
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &said) // anything else did not come from Google
	for _, g := range grantHints {
		if strings.Contains(said.Description, g.says) {
			return g.hint
		}
	}
	return hints["credentials_refused"]
}

// grantCode returns the code in a refusal by the token endpoint, if it is a standard one. Anything else may be what was sent.
func grantCode(body []byte) string {
	var said struct {
		Code string `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil || !grantCodes[said.Code] {
		return ""
	}
	return said.Code
}
