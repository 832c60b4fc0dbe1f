package apns

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/keyfile"
)

// topicSuffixes are Apple's push types, and what each wants at the end of the topic,
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns.
var topicSuffixes = map[string]string{
	"":                                 "",
	string(apns2.PushTypeAlert):        "",
	string(apns2.PushTypeBackground):   "",
	string(apns2.PushTypeLocation):     ".location-query",
	string(apns2.PushTypeVOIP):         ".voip",
	string(apns2.PushTypeComplication): ".complication",
	string(apns2.PushTypeFileProvider): ".pushkit.fileprovider",
	string(apns2.PushTypeMDM):          "",
	string(apns2.PushTypeLiveActivity): ".push-type.liveactivity",
	string(apns2.PushTypePushToTalk):   ".voip-ptt",
	"widgets":                          ".push-type.widgets",
	"controls":                         ".push-type.controls",
}

// bundleID is what a bundle ID may consist of,
// https://developer.apple.com/documentation/bundleresources/information-property-list/cfbundleidentifier.
var bundleID = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// checkTopic is the topic, if it can be right.
func (p *Provider) checkTopic() (string, error) {
	topic, err := keyfile.Resolve(p.Topic)
	if err != nil {
		return "", err
	}
	certified := p.credential.topics()
	suffix := topicSuffixes[p.PushType]
	if topic == "" {
		if len(certified) == 0 {
			return "", errors.New("it is missing: the app's bundle ID")
		}
		topic = strings.TrimSuffix(certified[0], suffix) + suffix
	}
	switch {
	case !bundleID.MatchString(topic):
		return "", fmt.Errorf("%q is not a bundle ID", topic)
	case !strings.HasSuffix(topic, suffix):
		return "", fmt.Errorf("%q does not end with %s, which the push type %s wants", topic, suffix, p.PushType)
	case len(certified) > 0 && !covers(certified, topic):
		return "", fmt.Errorf("%q is not among those of the certificate: %s", topic, strings.Join(certified, ", "))
	}
	return topic, nil
}

// covers says whether a certificate's topics cover a topic: a certificate may name the bundle ID alone.
func covers(certified []string, topic string) bool {
	return slices.ContainsFunc(certified, func(c string) bool {
		rest, ok := strings.CutPrefix(topic, c)
		return ok && slices.Contains(slices.Collect(maps.Values(topicSuffixes)), rest)
	})
}
