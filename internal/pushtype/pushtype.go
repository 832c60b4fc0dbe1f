// Package pushtype has Apple's push types, and what each of them requires,
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns and
// https://developer.apple.com/documentation/widgetkit/updating-widgets-with-widgetkit-push-notifications.
package pushtype

import (
	"fmt"
	"strings"
)

// The values of apns-push-type.
const (
	Alert        = "alert"
	Background   = "background"
	VoIP         = "voip"
	Complication = "complication"
	FileProvider = "fileprovider"
	Location     = "location"
	LiveActivity = "liveactivity"
	PushToTalk   = "pushtotalk"
	Widgets      = "widgets"
	Controls     = "controls"
	MDM          = "mdm"
)

// Type is a push type.
type Type struct {
	// Name is the value of apns-push-type.
	Name string
	// Ending is what follows the app's bundle ID in the topic.
	Ending string
	// MaxPayload is how many bytes a payload may have.
	MaxPayload int
	// Priority is the only apns-priority that the type may have; 0 for any.
	Priority int
	// Once means that apns-expiration must be 0: Apple makes a single attempt.
	Once bool
	// KeyOnly means that it cannot be sent with a certificate.
	KeyOnly bool
}

// maxPayload is the limit of every type except VoIP,
// https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification.
const maxPayload = 4096

// types are all types that Apple documents.
var types = []Type{
	{Name: Alert, MaxPayload: maxPayload},
	{Name: Background, MaxPayload: maxPayload, Priority: 5},
	{Name: VoIP, Ending: ".voip", MaxPayload: 5120},
	{Name: Complication, Ending: ".complication", MaxPayload: maxPayload},
	{Name: FileProvider, Ending: ".pushkit.fileprovider", MaxPayload: maxPayload},
	{Name: Location, Ending: ".location-query", MaxPayload: maxPayload, KeyOnly: true},
	{Name: LiveActivity, Ending: ".push-type.liveactivity", MaxPayload: maxPayload, KeyOnly: true},
	{Name: PushToTalk, Ending: ".voip-ptt", MaxPayload: maxPayload, Priority: 10, Once: true},
	{Name: Widgets, Ending: ".push-type.widgets", MaxPayload: maxPayload},
	{Name: Controls, Ending: ".push-type.controls", MaxPayload: maxPayload},
	{Name: MDM, MaxPayload: maxPayload},
}

// managed is the beginning of the topic of each MDM certificate, in place of a bundle ID.
const managed = "com.apple.mgmt."

// Named returns the type with that name.
func Named(name string) (t Type, known bool) {
	for _, t := range types {
		if t.Name == name {
			return t, true
		}
	}
	return Type{}, false
}

// Of returns the type that a topic is for. The topic's ending decides, and for mdm its beginning. A plain bundle ID is for alert and
// background.
func Of(topic string) Type {
	for _, t := range types {
		if t.Ending != "" && strings.HasSuffix(topic, t.Ending) {
			return t
		}
	}
	name := Alert
	if strings.HasPrefix(topic, managed) {
		name = MDM
	}
	t, _ := Named(name)
	return t
}

// IsEnding reports whether s may follow a bundle ID in a topic. It may also be empty.
func IsEnding(s string) bool {
	for _, t := range types {
		if t.Ending == s {
			return true
		}
	}
	return false
}

// Fits reports whether the topic is for this type.
func (t Type) Fits(topic string) bool {
	of := Of(topic)
	return of.Name == t.Name || of.Name == Alert && t.Name == Background
}

// TopicFor returns the topic of this type for the app that another topic belongs to, or a description of it if it cannot be known.
func (t Type) TopicFor(topic string) string {
	of := Of(topic)
	switch {
	case t.Name == MDM:
		return "the UID in the subject of the MDM certificate, which begins with " + managed
	case of.Name == MDM:
		return "the app's bundle ID" + t.Ending
	default:
		return fmt.Sprintf("%q", strings.TrimSuffix(topic, of.Ending)+t.Ending)
	}
}

// Misfit returns why a type does not fit a topic, and which of the options push_type and topic is wrong. Both are empty if the type
// fits. The text begins with the option's value.
func Misfit(name, topic string) (field, text string) {
	t, known := Named(name)
	if !known || t.Fits(topic) {
		return "", ""
	}
	of := Of(topic)
	if of.Name != Alert {
		return "push_type", fmt.Sprintf("%q does not go with the topic %q, which is for %s: leave push_type out, or set topic to %s",
			name, topic, of.Name, t.TopicFor(topic))
	}
	where, what := "end", t.Ending
	if t.Name == MDM {
		where, what = "begin", managed
	}
	return "topic", fmt.Sprintf("%q does not %s with %s, which the push type %s requires: set topic to %s, or leave push_type out",
		topic, where, what, name, t.TopicFor(topic))
}
