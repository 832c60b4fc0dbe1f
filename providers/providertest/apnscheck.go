package providertest

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

// apnsFault is a broken rule: Apple's reason for refusing, and what is wrong in words. The zero value is none.
type apnsFault struct{ reason, violation string }

func apnsFaultf(reason, format string, args ...any) apnsFault {
	return apnsFault{reason, fmt.Sprintf(format, args...)}
}

const apnsPath = "/3/device/"

// apnsTokenBytes is the length of the shortest device token that anybody has seen. Apple wants no length to be assumed:
// https://developer.apple.com/forums/thread/712499 has one of 80 bytes.
const apnsTokenBytes = 32

// apnsTypes are the values of apns-push-type and what they append to the bundle id in apns-topic.
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
// https://developer.apple.com/documentation/widgetkit/updating-widgets-with-widgetkit-push-notifications
var apnsTypes = map[string]string{
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
	apnsInteger = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	apnsUUID    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	apnsTopic   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,255}$`) // what a CFBundleIdentifier may have
)

// read notes what a request's headers say.
func (s *apnsStream) read(c *apnsConn, f *http2.MetaHeadersFrame) {
	header := http.Header{}
	for _, field := range f.RegularFields() {
		header.Add(field.Name, field.Value)
	}
	s.request = APNsRequest{
		APNsPush: APNsPush{
			Time: c.fake.options.Now(), Connection: c.number, Header: header, Priority: 10, Expiration: -1,
			Topic: header.Get("Apns-Topic"), PushType: header.Get("Apns-Push-Type"),
			ID: header.Get("Apns-Id"), CollapseID: header.Get("Apns-Collapse-Id"),
		},
		Method: f.PseudoValue("method"), Path: f.PseudoValue("path"),
	}
	s.request.Token, _ = strings.CutPrefix(s.request.Path, apnsPath)
	if _, ok := header["Apns-Priority"]; ok {
		s.request.Priority, _ = strconv.Atoi(header.Get("Apns-Priority")) // checked later
	}
	if expiration := header.Get("Apns-Expiration"); apnsInteger.MatchString(expiration) {
		s.request.Expiration, _ = strconv.ParseInt(expiration, 10, 64)
	}
}

// check notes every rule that a request breaks and returns the reason to refuse it for: the first. As at Apple's, who sends is judged
// first, then what about, and only then to whom. The lock is held.
func (c *apnsConn) check(s *apnsStream) (reason string) {
	now := c.fake.options.Now()
	for _, fault := range []apnsFault{
		s.checkMethod(), s.checkPath(), s.checkDuplicates(), c.checkIdentity(s, now), c.checkTopic(s), s.checkToken(), s.checkType(), c.checkAuthentication(s),
		s.checkPriority(), s.checkExpiration(now), s.checkID(), s.checkCollapseID(), s.checkSize(), s.checkPayload(),
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

func (s *apnsStream) checkMethod() apnsFault {
	if s.request.Method != http.MethodPost {
		return apnsFaultf("MethodNotAllowed", "the method is %s, not POST", s.request.Method)
	}
	return apnsFault{}
}

func (s *apnsStream) checkPath() apnsFault {
	token, ok := strings.CutPrefix(s.request.Path, apnsPath)
	if !ok || strings.ContainsAny(token, "/?#%") {
		return apnsFaultf("BadPath", "the path is not %s<device token>", apnsPath)
	}
	return apnsFault{}
}

func (s *apnsStream) checkToken() apnsFault {
	token, ok := strings.CutPrefix(s.request.Path, apnsPath)
	if ok && token == "" {
		return apnsFaultf("MissingDeviceToken", "there is no device token in the path")
	}
	if !ok || strings.ContainsAny(token, "/?#%") {
		return apnsFault{} // checkPath says so
	}
	raw, err := hex.DecodeString(token)
	switch {
	case err != nil:
		return apnsFaultf("BadDeviceToken", "the device token is not hexadecimal of whole bytes")
	case len(raw) < apnsTokenBytes:
		return apnsFaultf("BadDeviceToken", "the device token has fewer than %d bytes", apnsTokenBytes)
	}
	return apnsFault{}
}

func (s *apnsStream) checkDuplicates() apnsFault {
	var names []string
	for name, values := range s.request.Header {
		if len(values) > 1 {
			names = append(names, name)
		}
	}
	if slices.Sort(names); len(names) > 0 {
		return apnsFaultf("DuplicateHeaders", "there is more than one %s", strings.Join(names, ", "))
	}
	return apnsFault{}
}

// checkIdentity judges who sends. A provider token beside a client certificate is ignored, as Apple does.
func (c *apnsConn) checkIdentity(s *apnsStream, now time.Time) apnsFault {
	if c.certificate != nil {
		return c.certificate.fault
	}
	return c.checkProviderToken(s, now)
}

func (c *apnsConn) checkTopic(s *apnsStream) apnsFault {
	topic := s.request.Topic
	if topic == "" && c.certificate != nil && len(c.certificate.topics) == 1 {
		s.request.Topic = c.certificate.topics[0] // the header may be left out then
		return apnsFault{}
	}
	switch {
	case topic == "":
		return apnsFaultf("MissingTopic", "there is no apns-topic")
	case !apnsTopic.MatchString(topic):
		return apnsFaultf("BadTopic", "apns-topic is not a bundle id, or one with a suffix")
	case c.certificate != nil && c.certificate.fault.reason == "" && !slices.Contains(c.certificate.topics, topic):
		return apnsFaultf("TopicDisallowed", "apns-topic is none of the certificate's")
	case s.key != nil && !s.key.allows(topic):
		return apnsFaultf("TopicDisallowed", "apns-topic is none of the key's")
	case c.fake.options.DeviceTopic != "" && !apnsNobody(s.request.Token) && !topicOf(topic, c.fake.options.DeviceTopic):
		return apnsFaultf("DeviceTokenNotForTopic", "the device token was not made for apns-topic")
	}
	return apnsFault{}
}

// allows says whether the key may push to a topic.
func (key *APNsKey) allows(topic string) bool {
	return slices.ContainsFunc(key.Topics, func(bundle string) bool { return topicOf(topic, bundle) })
}

// topicOf says whether a topic is a bundle id, or that with the suffix of a push type.
func topicOf(topic, bundle string) bool {
	suffix, ok := strings.CutPrefix(topic, bundle)
	if !ok {
		return false
	}
	for _, known := range apnsTypes {
		if suffix == known {
			return true
		}
	}
	return false
}

// checkType wants a push type that fits the topic. Apple takes a request without one for devices before watchOS 6 and guesses.
func (s *apnsStream) checkType() apnsFault {
	if s.request.PushType == "" {
		return apnsFaultf("InvalidPushType", "there is no apns-push-type")
	}
	suffix, known := apnsTypes[s.request.PushType]
	if !known {
		return apnsFaultf("InvalidPushType", "apns-push-type is none of Apple's")
	}
	actual := ""
	for _, other := range apnsTypes {
		if len(other) > len(actual) && strings.HasSuffix(s.request.Topic, other) {
			actual = other
		}
	}
	if s.request.Topic != "" && actual != suffix {
		return apnsFaultf("InvalidPushType", "apns-push-type %s does not go with an apns-topic that ends in %q", s.request.PushType, actual)
	}
	// "If you're sending a notification of this type, you must set apns-topic to the UID attribute in the subject of your MDM push
	// certificate", and those are Apple's to give.
	if managed := strings.HasPrefix(s.request.Topic, "com.apple.mgmt."); s.request.Topic != "" && managed != (s.request.PushType == "mdm") {
		return apnsFaultf("InvalidPushType", "apns-push-type %s does not go with the apns-topic", s.request.PushType)
	}
	return apnsFault{}
}

// checkAuthentication wants a provider token for what a certificate cannot send: "The location push type isn't supported by
// certificate-based connections", and neither is liveactivity.
func (c *apnsConn) checkAuthentication(s *apnsStream) apnsFault {
	if t := s.request.PushType; c.certificate != nil && (t == "location" || t == "liveactivity") {
		return apnsFaultf("MissingProviderToken", "apns-push-type %s is sent with a certificate", t)
	}
	return apnsFault{}
}

func (s *apnsStream) checkPriority() apnsFault {
	if _, ok := s.request.Header["Apns-Priority"]; ok && !slices.Contains([]string{"10", "5", "1"}, s.request.Header.Get("Apns-Priority")) {
		return apnsFaultf("BadPriority", "apns-priority is none of 10, 5, 1")
	}
	// "Always use priority 5. Using priority 10 is an error." Without the header, the priority is 10.
	if s.request.PushType == "background" && s.request.Priority != 5 {
		return apnsFaultf("BadPriority", "apns-priority of a background push is not 5")
	}
	// https://developer.apple.com/documentation/pushtotalk/creating-a-push-to-talk-app: priority 10, and expiration 0.
	if s.request.PushType == "pushtotalk" && s.request.Priority != 10 {
		return apnsFaultf("BadPriority", "apns-priority of a pushtotalk push is not 10")
	}
	if s.request.PushType == "liveactivity" && s.request.Priority == 1 {
		return apnsFaultf("BadPriority", "apns-priority of a liveactivity push is neither 5 nor 10")
	}
	return apnsFault{}
}

func (s *apnsStream) checkExpiration(now time.Time) apnsFault {
	if _, ok := s.request.Header["Apns-Expiration"]; !ok && s.request.PushType != "pushtotalk" {
		return apnsFault{}
	}
	switch {
	case s.request.PushType == "pushtotalk" && s.request.Expiration != 0:
		return apnsFaultf("BadExpirationDate", "apns-expiration of a pushtotalk push is not 0")
	case s.request.Expiration < 0:
		return apnsFaultf("BadExpirationDate", "apns-expiration is not a number of seconds")
	case s.request.Expiration > 0 && s.request.Expiration <= now.Unix():
		return apnsFaultf("BadExpirationDate", "apns-expiration is over")
	}
	return apnsFault{}
}

func (s *apnsStream) checkID() apnsFault {
	if _, ok := s.request.Header["Apns-Id"]; ok && !apnsUUID.MatchString(s.request.ID) {
		return apnsFaultf("BadMessageId", "apns-id is not a lower-case UUID of the form 8-4-4-4-12")
	}
	return apnsFault{}
}

func (s *apnsStream) checkCollapseID() apnsFault {
	if len(s.request.CollapseID) > 64 {
		return apnsFaultf("BadCollapseId", "apns-collapse-id has more than 64 bytes")
	}
	return apnsFault{}
}
