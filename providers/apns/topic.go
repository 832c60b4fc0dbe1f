package apns

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/pushtype"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// bundleID matches a bundle ID, https://developer.apple.com/documentation/bundleresources/information-property-list/cfbundleidentifier.
var bundleID = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// decideTopic finds the topic and its push type. They must match: Apple answers InvalidPushType to every push whose type is not for its
// topic.
func (p *Provider) decideTopic() error {
	topic, err := keyfile.Resolve(p.Topic)
	if err != nil {
		return fmt.Errorf("topic: %w", err)
	}
	certified := p.credential.topics()
	if topic == "" {
		if topic, err = p.certifiedTopic(certified); err != nil {
			return err
		}
	}
	if !bundleID.MatchString(topic) {
		return fmt.Errorf("topic: %q is not a bundle ID", topic)
	}
	if field, misfit := pushtype.Misfit(p.PushType, topic); misfit != "" {
		return fmt.Errorf("%s: %s", field, misfit)
	}
	if len(certified) > 0 && !covers(certified, topic) {
		return fmt.Errorf("topic: %q is not one of the certificate's topics: %s", topic, strings.Join(certified, ", "))
	}
	p.topic, p.pushType = topic, pushtype.Of(topic)
	if p.PushType != "" {
		p.pushType, _ = pushtype.Named(p.PushType)
	}
	if p.pushType.KeyOnly && p.credential.clientCertificate() != nil {
		return fmt.Errorf("topic: %q is for the push type %s, which Apple does not accept with a certificate: "+
			"set key_file, key_id and team_id instead of certificate_file", topic, p.pushType.Name)
	}
	return nil
}

// certifiedTopic returns the topic that a certificate is for: the first that matches push_type, or the first of all without a push_type.
func (p *Provider) certifiedTopic(certified []string) (string, error) {
	if len(certified) == 0 {
		return "", errors.New("topic is missing: set it to the app's bundle ID")
	}
	wanted, explicit := pushtype.Named(p.PushType)
	if !explicit {
		return certified[0], nil
	}
	for _, topic := range certified {
		if wanted.Fits(topic) {
			return topic, nil
		}
	}
	for _, topic := range certified {
		if derived := topic + wanted.Ending; wanted.Fits(derived) && covers(certified, derived) {
			return derived, nil
		}
	}
	return "", fmt.Errorf("push_type: %q does not match the topic of the certificate, %s: leave push_type out, or use a certificate for %s",
		p.PushType, strings.Join(certified, ", "), wanted.TopicFor(certified[0]))
}

// covers reports whether a certificate's topics cover a topic: a bundle ID without an ending also covers every ending.
func covers(certified []string, topic string) bool {
	return slices.ContainsFunc(certified, func(c string) bool {
		ending, ok := strings.CutPrefix(topic, c)
		return ok && (ending == "" || pushtype.Of(c).Name == pushtype.Alert && pushtype.IsEnding(ending))
	})
}
