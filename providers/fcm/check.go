package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// nobody is a registration token that no app has.
var nobody = strings.Repeat("0", 64)

// Check lets FCM validate, and not deliver, a message with the app's options to a device that there is not. Google judges the credentials
// and the project before FCM looks for the device: not to know the device is all that it should have to say. Whether the devices' tokens
// are of this project shows with the first real push alone.
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
		o = providers.Misconfigured("invalid_option", f.complaint()) // FCM names all that it does not like
		o.Word = f.word()
	}
	return checked(o)
}

// unsent says what to do about a check that got no answer of FCM's.
func unsent(err error) error {
	o := failed(err)
	var none *credentialError
	var refused *oauth2.RetrieveError
	if o.Reason == "credentials_refused" && errors.As(err, &none) && errors.As(none.err, &refused) {
		return complain(o, grantHint(refused.Body))
	}
	return checked(o)
}

// checked says what the operator has to do about the outcome of a check; nil if that is nothing.
func checked(o providers.Outcome) error {
	switch {
	case o.Reason == "invalid_token", o.Reason == unregistered:
		return nil // it is about the device alone
	case o.Kind == providers.KindDelivered:
		return errors.New("what answered took a message for a device that there is not, so that it is not FCM: look at endpoint and proxy")
	}
	return complain(o, hintFor(o))
}

// complain shows the reason, Google's or Apple's word for it, and what to do.
func complain(o providers.Outcome, hint string) error {
	reason := o.Reason
	if o.Word != "" {
		reason += " (" + o.Word + ")"
	}
	if o.Err != nil {
		return fmt.Errorf("%s: %w: %s", reason, o.Err, hint)
	}
	return fmt.Errorf("%s: %s", reason, hint)
}

// grantHint says what to do about a refusal of the token endpoint. Nothing of the description is repeated: it may have in it what was sent.
func grantHint(body []byte) string {
	var said struct {
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &said) // whatever else stands there did not come from Google
	for _, g := range grantHints {
		if strings.Contains(said.Description, g.says) {
			return g.hint
		}
	}
	return hints["credentials_refused"]
}

// grantCode is the code in a refusal of the token endpoint, if it is one that there is. Whatever else stands there may be what was sent.
func grantCode(body []byte) string {
	var said struct {
		Code string `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil || !grantCodes[said.Code] {
		return ""
	}
	return said.Code
}
