package fcm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"

	"firebase.google.com/go/v4/messaging"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// maxData is what FCM takes of data and notification together,
// https://firebase.google.com/docs/cloud-messaging/customize-messages/set-message-type.
const maxData = 4096

// template is what the operator wants in each message.
type template struct {
	alert, badge messaging.Message
	// room is how many bytes it leaves for data.
	room int
}

// newTemplate reads the options by FCM's own schema, so that what FCM would not know is found while loading.
func newTemplate(p *Provider) (*template, error) {
	t := &template{room: maxData}
	m := &t.alert
	for _, o := range []struct {
		name string
		raw  json.RawMessage
		into any
	}{
		{"notification", p.Notification, &m.Notification},
		{"android", p.Android, &m.Android},
		{"apns", p.APNS, &m.APNS},
		{"webpush", p.Webpush, &m.Webpush},
	} {
		if err := guarded(func() error { return decode(o.raw, o.into) }); err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
	}
	if m.Android != nil && m.Android.Data != nil {
		return nil, errors.New("android: data would take the place of the notification's")
	}
	if err := checkTTL(p.Android); err != nil {
		return nil, fmt.Errorf("android: %w", err)
	}
	if m.APNS != nil && m.APNS.Payload != nil && m.APNS.Payload.Aps == nil {
		m.APNS.Payload.Aps = new(messaging.Aps) // the SDK would send null
	}
	t.badge = quiet(t.alert)
	shown, err := json.Marshal(m.Notification)
	if err != nil {
		return nil, fmt.Errorf("notification: %w", err)
	}
	if m.Notification != nil {
		t.room -= len(shown)
	}
	if t.room < maxData/2 {
		return nil, errors.New("notification: it leaves too little room for data")
	}
	return t, nil
}

// seconds is how a duration may be written: the SDK spoils fractions.
var seconds = regexp.MustCompile(`^[0-9]{1,7}s$`)

// checkTTL finds a ttl that the SDK would read wrongly.
func checkTTL(android json.RawMessage) error {
	var given struct {
		TTL *string `json:"ttl"`
	}
	_ = json.Unmarshal(android, &given) // it was decoded before
	if given.TTL == nil {
		return nil
	}
	if ttl, err := time.ParseDuration(*given.TTL); err != nil || !seconds.MatchString(*given.TTL) || ttl > maxTTL {
		return fmt.Errorf("ttl: %q is not a number of seconds such as 3600s, of at most four weeks", *given.TTL)
	}
	return nil
}

// decode reads an option, and refuses members that its type does not know.
func decode(raw json.RawMessage, into any) error {
	if raw == nil {
		return nil
	}
	if err := checkObject(raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return err
	}
	written, err := json.Marshal(into)
	if err != nil {
		return err
	}
	var given, known any
	if err := errors.Join(json.Unmarshal(raw, &given), json.Unmarshal(written, &known)); err != nil {
		return err
	}
	return missing(given, known, "")
}

// guarded makes an error of what the SDK panics with, as it does for some colours of android.notification.light_settings.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("there is something in it that breaks Firebase's SDK")
		}
	}()
	return do()
}

// missing is an error that names a member of given which known does not have, and is more than nothing.
func missing(given, known any, path string) error {
	if list, ok := given.([]any); ok {
		has, _ := known.([]any)
		for i, value := range list[:min(len(list), len(has))] {
			if err := missing(value, has[i], fmt.Sprintf("%s%d.", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	members, _ := given.(map[string]any)
	has, _ := known.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := members[name]
		if _, ok := has[name]; !ok && value != nil && !reflect.ValueOf(value).IsZero() {
			return fmt.Errorf("Firebase's SDK has no member %s%s", path, name) //nolint:staticcheck // a name
		}
		if err := missing(value, has[name], path+name+"."); err != nil {
			return err
		}
	}
	return nil
}

// quiet is a message's template without what would be shown: a badge update is no news.
func quiet(m messaging.Message) messaging.Message {
	m.Notification = nil
	if m.Android != nil {
		android := *m.Android
		android.Notification = nil
		m.Android = &android
	}
	if m.Webpush != nil {
		webpush := *m.Webpush
		webpush.Notification = nil
		m.Webpush = &webpush
	}
	if m.APNS != nil && m.APNS.Payload != nil && m.APNS.Payload.Aps != nil {
		apns, payload, aps := *m.APNS, *m.APNS.Payload, *m.APNS.Payload.Aps
		aps.Alert, aps.AlertString, aps.Sound, aps.CriticalSound = nil, "", "", nil
		payload.Aps = &aps
		apns.Payload = &payload
		m.APNS = &apns
	}
	return m
}

// badgeKey lets a badge update take the place of an earlier one that waits for the device.
const badgeKey = "badge"

// message is the message for a push with its data.
func (t *template) message(p *providers.Push, data map[string]string, now time.Time) *messaging.Message {
	n := p.Notification
	m := t.alert
	if n.Badge {
		m = t.badge
	}
	m.Token, m.Data = p.Device.Pushkey, data
	android := messaging.AndroidConfig{}
	if m.Android != nil {
		android = *m.Android
	}
	android.Priority = "high"
	if n.Badge || n.Prio == providers.PrioLow {
		android.Priority = "normal" // FCM slows down apps that wake a device and show nothing
	}
	if android.TTL == nil {
		ttl := min(time.Duration(p.TTL(now))*time.Second, maxTTL)
		android.TTL = &ttl
	}
	if n.Badge && android.CollapseKey == "" {
		android.CollapseKey = badgeKey
	}
	m.Android = &android
	if m.APNS != nil {
		m.APNS = withHeaders(m.APNS, android.Priority == "high", p.Expires)
		if n.Counts != (providers.Counts{}) {
			m.APNS = withBadge(m.APNS, n.Counts)
		}
	}
	return &m
}

// withHeaders is the configuration for Apple devices with what APNs is told of each push, unless the operator says otherwise.
func withHeaders(config *messaging.APNSConfig, high bool, expires time.Time) *messaging.APNSConfig {
	c := *config
	c.Headers = map[string]string{"apns-priority": "5", "apns-expiration": strconv.FormatInt(expires.Unix(), 10)}
	if high {
		c.Headers["apns-priority"] = "10"
	}
	maps.Copy(c.Headers, config.Headers)
	return &c
}

// maxTTL is the longest that FCM keeps a message,
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages#androidconfig.
const maxTTL = 4 * 7 * 24 * time.Hour

// withBadge is the configuration for Apple devices with the number for the app's icon.
func withBadge(config *messaging.APNSConfig, counts providers.Counts) *messaging.APNSConfig {
	c, payload, aps := *config, messaging.APNSPayload{}, messaging.Aps{}
	if c.Payload != nil {
		payload = *c.Payload
	}
	if payload.Aps != nil {
		aps = *payload.Aps
	}
	number := 0
	for _, count := range []*int64{counts.Unread, counts.MissedCalls} {
		if count != nil {
			number += int(min(*count, 1<<30))
		}
	}
	aps.Badge = &number
	payload.Aps, c.Payload = &aps, &payload
	return &c
}
