package apnstest

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// fault is a broken rule: Apple's reason for the refusal, and the mistake in words. The zero value means no fault.
type fault struct{ reason, violation string }

func faultf(reason, format string, args ...any) fault {
	return fault{reason, fmt.Sprintf(format, args...)}
}

const devicePath = "/3/device/"

// minTokenBytes is the length of the shortest known device token. Apple asks developers not to assume any length:
// https://developer.apple.com/forums/thread/712499 has one of 80 bytes.
const minTokenBytes = 32

// pushTypes are the values of apns-push-type and what they append to the bundle id in apns-topic.
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
// https://developer.apple.com/documentation/widgetkit/updating-widgets-with-widgetkit-push-notifications
var pushTypes = map[string]string{
	"alert":        "",
	"background":   "",
	"complication": ".complication",
	"controls":     ".push-type.controls",
	"fileprovider": ".pushkit.fileprovider",
	"liveactivity": ".push-type.liveactivity",
	"location":     ".location-query",
	"mdm":          "",
	"pushtotalk":   ".voip-ptt",
	"voip":         ".voip",
	"widgets":      ".push-type.widgets",
}

var (
	integerForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	uuidForm    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	topicForm   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,255}$`) // the characters of a CFBundleIdentifier
)

// read notes a request's headers.
func (s *stream) read(c *conn, f *http2.MetaHeadersFrame) {
	header := http.Header{}
	for _, field := range f.RegularFields() {
		header.Add(field.Name, field.Value)
	}
	s.request = Request{
		Push: Push{
			Time: c.fake.options.Now(), Connection: c.number, Header: header, Priority: 10, Expiration: -1,
			Topic: header.Get("Apns-Topic"), PushType: header.Get("Apns-Push-Type"),
			ID: header.Get("Apns-Id"), CollapseID: header.Get("Apns-Collapse-Id"),
		},
		Method: f.PseudoValue("method"), Path: f.PseudoValue("path"),
	}
	s.request.Token, _ = strings.CutPrefix(s.request.Path, devicePath)
	if _, ok := header["Apns-Priority"]; ok {
		s.request.Priority, _ = strconv.Atoi(header.Get("Apns-Priority")) // checked later
	}
	if expiration := header.Get("Apns-Expiration"); integerForm.MatchString(expiration) {
		s.request.Expiration, _ = strconv.ParseInt(expiration, 10, 64)
	}
}

// check notes every rule that a request breaks, and returns the first as the reason to refuse it. Like Apple, it checks the sender first,
// then the topic, and only then the device. The lock is held.
func (c *conn) check(s *stream) (reason string) {
	now := c.fake.options.Now()
	for _, fault := range []fault{
		s.checkMethod(), s.checkPath(), s.checkDuplicates(), c.checkIdentity(s, now), c.checkTopic(s), s.checkToken(), s.checkType(),
		c.checkAuthentication(s), s.checkPriority(), s.checkExpiration(now), s.checkID(), s.checkCollapseID(), s.checkSize(), s.checkPayload(),
	} {
		if fault.violation == "" {
			continue
		}
		s.request.Violations = append(s.request.Violations, fault.violation)
		if reason == "" {
			reason = fault.reason
		}
	}
	return reason
}

func (s *stream) checkMethod() fault {
	if s.request.Method != http.MethodPost {
		return faultf("MethodNotAllowed", "the method is %s, not POST", s.request.Method)
	}
	return fault{}
}

func (s *stream) checkPath() fault {
	token, ok := strings.CutPrefix(s.request.Path, devicePath)
	if !ok || strings.ContainsAny(token, "/?#%") {
		return faultf("BadPath", "the path is not %s<device token>", devicePath)
	}
	return fault{}
}

func (s *stream) checkToken() fault {
	token, ok := strings.CutPrefix(s.request.Path, devicePath)
	if ok && token == "" {
		return faultf("MissingDeviceToken", "there is no device token in the path")
	}
	if !ok || strings.ContainsAny(token, "/?#%") {
		return fault{} // checkPath reports it
	}
	raw, err := hex.DecodeString(token)
	switch {
	case err != nil:
		return faultf("BadDeviceToken", "the device token is not hexadecimal of whole bytes")
	case len(raw) < minTokenBytes:
		return faultf("BadDeviceToken", "the device token has fewer than %d bytes", minTokenBytes)
	}
	return fault{}
}

func (s *stream) checkDuplicates() fault {
	var names []string
	for name, values := range s.request.Header {
		if len(values) > 1 {
			names = append(names, name)
		}
	}
	if slices.Sort(names); len(names) > 0 {
		return faultf("DuplicateHeaders", "there is more than one %s", strings.Join(names, ", "))
	}
	return fault{}
}

// checkIdentity checks the sender. A provider token beside a client certificate is ignored, as Apple does.
func (c *conn) checkIdentity(s *stream, now time.Time) fault {
	if c.certificate != nil {
		return c.certificate.fault
	}
	return c.checkProviderToken(s, now)
}

func (c *conn) checkTopic(s *stream) fault {
	topic := s.request.Topic
	if topic == "" && c.certificate != nil && len(c.certificate.topics) == 1 {
		s.request.Topic = c.certificate.topics[0] // then the header may be left out
		return fault{}
	}
	switch {
	case topic == "":
		return faultf("MissingTopic", "there is no apns-topic")
	case !topicForm.MatchString(topic):
		return faultf("BadTopic", "apns-topic is not a bundle id, or one with a suffix")
	case c.certificate != nil && c.certificate.fault.reason == "" && !slices.Contains(c.certificate.topics, topic):
		return faultf("TopicDisallowed", "apns-topic is not one of the certificate's")
	case s.key != nil && !s.key.allows(topic):
		return faultf("TopicDisallowed", "apns-topic is not one of the key's")
	case c.fake.options.DeviceTopic != "" && !nobody(s.request.Token) && !topicOf(topic, c.fake.options.DeviceTopic):
		return faultf("DeviceTokenNotForTopic", "the device token was not made for apns-topic")
	}
	return fault{}
}

// allows reports whether the key may push to a topic.
func (key *Key) allows(topic string) bool {
	return slices.ContainsFunc(key.Topics, func(bundle string) bool { return topicOf(topic, bundle) })
}

// topicOf reports whether a topic is a bundle id, with or without the suffix of a push type.
func topicOf(topic, bundle string) bool {
	suffix, ok := strings.CutPrefix(topic, bundle)
	if !ok {
		return false
	}
	for _, known := range pushTypes {
		if suffix == known {
			return true
		}
	}
	return false
}

// checkType wants a push type that fits the topic. Apple guesses the type if it is missing, for devices before watchOS 6.
func (s *stream) checkType() fault {
	if s.request.PushType == "" {
		return faultf("InvalidPushType", "there is no apns-push-type")
	}
	suffix, known := pushTypes[s.request.PushType]
	if !known {
		return faultf("InvalidPushType", "apns-push-type is not one of Apple's")
	}
	actual := ""
	for _, other := range pushTypes {
		if len(other) > len(actual) && strings.HasSuffix(s.request.Topic, other) {
			actual = other
		}
	}
	if s.request.Topic != "" && actual != suffix {
		return faultf("InvalidPushType", "apns-push-type %s does not go with an apns-topic that ends in %q", s.request.PushType, actual)
	}
	// "If you're sending a notification of this type, you must set apns-topic to the UID attribute in the subject of your MDM push
	// certificate", and those are Apple's to give.
	if managed := strings.HasPrefix(s.request.Topic, "com.apple.mgmt."); s.request.Topic != "" && managed != (s.request.PushType == "mdm") {
		return faultf("InvalidPushType", "apns-push-type %s does not go with the apns-topic", s.request.PushType)
	}
	return fault{}
}

// checkAuthentication wants a provider token for what a certificate cannot send: "The location push type isn't supported by
// certificate-based connections", and neither is liveactivity.
func (c *conn) checkAuthentication(s *stream) fault {
	if t := s.request.PushType; c.certificate != nil && (t == "location" || t == "liveactivity") {
		return faultf("MissingProviderToken", "apns-push-type %s is sent with a certificate", t)
	}
	return fault{}
}

func (s *stream) checkPriority() fault {
	if _, ok := s.request.Header["Apns-Priority"]; ok && !slices.Contains([]string{"10", "5", "1"}, s.request.Header.Get("Apns-Priority")) {
		return faultf("BadPriority", "apns-priority is not 10, 5 or 1")
	}
	// "Always use priority 5. Using priority 10 is an error." Without the header, the priority is 10.
	if s.request.PushType == "background" && s.request.Priority != 5 {
		return faultf("BadPriority", "apns-priority of a background push is not 5")
	}
	// https://developer.apple.com/documentation/pushtotalk/creating-a-push-to-talk-app: priority 10, and expiration 0.
	if s.request.PushType == "pushtotalk" && s.request.Priority != 10 {
		return faultf("BadPriority", "apns-priority of a pushtotalk push is not 10")
	}
	if s.request.PushType == "liveactivity" && s.request.Priority == 1 {
		return faultf("BadPriority", "apns-priority of a liveactivity push is neither 5 nor 10")
	}
	return fault{}
}

func (s *stream) checkExpiration(now time.Time) fault {
	if _, ok := s.request.Header["Apns-Expiration"]; !ok && s.request.PushType != "pushtotalk" {
		return fault{}
	}
	switch {
	case s.request.PushType == "pushtotalk" && s.request.Expiration != 0:
		return faultf("BadExpirationDate", "apns-expiration of a pushtotalk push is not 0")
	case s.request.Expiration < 0:
		return faultf("BadExpirationDate", "apns-expiration is not a number of seconds")
	case s.request.Expiration > 0 && s.request.Expiration <= now.Unix():
		return faultf("BadExpirationDate", "apns-expiration is over")
	}
	return fault{}
}

func (s *stream) checkID() fault {
	if _, ok := s.request.Header["Apns-Id"]; ok && !uuidForm.MatchString(s.request.ID) {
		return faultf("BadMessageId", "apns-id is not a lower-case UUID of the form 8-4-4-4-12")
	}
	return fault{}
}

func (s *stream) checkCollapseID() fault {
	if len(s.request.CollapseID) > 64 {
		return faultf("BadCollapseId", "apns-collapse-id has more than 64 bytes")
	}
	return fault{}
}
