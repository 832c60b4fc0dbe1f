package apns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// nobody is a device token that no device has.
var nobody = strings.Repeat("0", 64)

// Check tries the credential with a push to a device that there is not: one of the push type that the topic is for, and a background push
// where that is alert. APNs judges who sends, and whether that one may send to the topic, before it looks for the device: not to know the
// device is all that it should have to say. Whether the devices' tokens are of this environment and topic shows with the first real push
// only.
func (p *Provider) Check(ctx context.Context) error {
	push := &providers.Push{
		Notification: &providers.Notification{Prio: providers.PrioLow},
		Device:       &providers.Device{Pushkey: nobody},
		ID:           uuid.NewString(),
		// apns-expiration 0: nothing is kept for later,
		// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns.
		Expires: time.Unix(0, 0),
	}
	m, err := build(push.Notification, push.Device, p.options(), p.pushType.MaxPayload)
	if err != nil {
		return err
	}
	return checked(p.send(ctx, nobody, p.header(push, m), m.payload))
}

// checked returns what the operator has to do about the outcome of a check, with Apple's own word to look up; nil if that is nothing.
func checked(o providers.Outcome) error {
	hint, ok := hints[o.Reason]
	switch {
	case o.Reason == "bad_device_token", o.Reason == "unregistered", o.Reason == "expired_token":
		return nil // it is about the device alone
	case o.Kind == providers.KindDelivered:
		return errors.New("what answered took a push for a device that there is not, so that it is not APNs: look at endpoint and proxy")
	case !ok && o.Word == "":
		hint = hintsWithoutWord[o.Kind]
	case !ok:
		hint = hintsByKind[o.Kind]
	}
	if o.Word != "" {
		hint += fmt.Sprintf(" (Apple says %s)", o.Word)
	}
	if o.Err != nil {
		return fmt.Errorf("%s: %w: %s", o.Reason, o.Err, hint)
	}
	return fmt.Errorf("%s: %s", o.Reason, hint)
}
