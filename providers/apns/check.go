package apns

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/hint"
)

// nobody is a device token that no device has.
var nobody = strings.Repeat("0", 64)

// Check tries the credential with a push to a device that does not exist. The push has the topic's push type, or is a background push if
// that type is alert. APNs checks the sender, and whether it may send to the topic, before it looks for the device, so an unknown device
// must be its only complaint. Only the first real push shows whether the devices' tokens are of this environment and topic.
func (p *Provider) Check(ctx context.Context) error {
	push := &providers.Push{
		Notification: &providers.Notification{Prio: providers.PrioLow},
		Device:       &providers.Device{Pushkey: nobody},
		ID:           uuid.NewString(),
		// apns-expiration 0: APNs stores nothing for later,
		// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns.
		Expires: time.Unix(0, 0),
	}
	m, err := build(push.Notification, push.Device, p.options(), p.pushType.MaxPayload)
	if err != nil {
		return err
	}
	return checked(p.send(ctx, nobody, p.header(push, m), m.payload))
}

// checked returns what the operator must do about the outcome of a check, with Apple's reason to look up; nil if nothing is wrong.
func checked(o providers.Outcome) error {
	todo, ok := hints[o.Reason]
	switch {
	case o.Reason == "bad_device_token", o.Reason == "unregistered", o.Reason == "expired_token":
		return nil // only the device is wrong
	case o.Kind == providers.KindDelivered:
		return errors.New("the server accepted a push for a device that does not exist, so it is not APNs: check endpoint and proxy")
	case !ok && o.Word == "":
		todo = hintsWithoutWord[o.Kind]
	case !ok:
		todo = hintsByKind[o.Kind]
	}
	return hint.Error(o, todo)
}
