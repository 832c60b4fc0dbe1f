package apns

import (
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

const managed = "com.apple.mgmt.External.5f0d1a8c"

// endings are Apple's, https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns, and those in
// reports: element-ios#3722, apns2#23, a2#94.
var endings = map[string]string{
	".voip": "voip", ".complication": "complication", ".pushkit.fileprovider": "fileprovider", ".location-query": "location",
	".push-type.liveactivity": "liveactivity", ".voip-ptt": "pushtotalk", ".push-type.widgets": "widgets", ".push-type.controls": "controls",
}

func TestTheTopicsEndingDecidesThePushType(t *testing.T) {
	t.Parallel()
	_, p8 := apnstest.NewKey(t)
	path := writeFile(t, "key.p8", p8)
	with := func(topic, pushType string) *Provider {
		return &Provider{Topic: topic, PushType: pushType, KeyFile: path, KeyID: keyID, TeamID: teamID}
	}
	for ending, want := range endings {
		for _, explicit := range []string{"", want} {
			if p := live(t, with(bundle+ending, explicit)); p.pushType.Name != want {
				t.Errorf("%s with push_type %q is sent as %s", p.topic, explicit, p.pushType.Name)
			}
		}
		refuses(t, with(bundle+ending, "alert"), `push_type: "alert"`, bundle+ending, want, "leave push_type out", `set topic to "`+bundle+`"`)
		refuses(t, with(bundle+ending, "background"), `push_type: "background"`, bundle+ending, want, "leave push_type out")
		refuses(t, with(bundle+ending, "mdm"), `push_type: "mdm"`, bundle+ending, want, "leave push_type out", "MDM certificate")
		refuses(t, with(bundle, want), `topic: "`+bundle+`"`, ending, "push type "+want, `set topic to "`+bundle+ending+`"`, "leave push_type out")
		for other, name := range endings {
			if other != ending {
				refuses(t, with(bundle+ending, name), `push_type: "`+name+`"`, bundle+ending, want, `set topic to "`+bundle+other+`"`)
			}
		}
	}
	for topic, types := range map[string]map[string]string{
		bundle:  {"": "alert", "alert": "alert", "background": "background"},
		managed: {"": "mdm", "mdm": "mdm"},
	} {
		for explicit, want := range types {
			if p := live(t, with(topic, explicit)); p.pushType.Name != want {
				t.Errorf("%s with push_type %q is sent as %s", topic, explicit, p.pushType.Name)
			}
		}
	}
	refuses(t, with(managed, "alert"), `push_type: "alert"`, managed, "mdm", "bundle ID")
	refuses(t, with(bundle, "mdm"), `topic: "`+bundle+`"`, "com.apple.mgmt.", "MDM certificate")
}

// certifiedFor returns a provider with a certificate for these topics.
func certifiedFor(t *testing.T, ca *apnstest.Authority, topics ...string) *Provider {
	t.Helper()
	files := certify(t, ca, topics, []string{"production"}, time.Now().Add(time.Hour))
	return &Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
}

func TestACertificatesTopicDecidesThePushType(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	universal := []string{bundle, bundle + ".voip", bundle + ".complication"}
	tests := []struct {
		name                string
		certified           []string // the first is the UID
		topic, pushType     string   // as configured
		wantTopic, wantType string
	}{
		{"a VoIP certificate", []string{bundle + ".voip"}, "", "", bundle + ".voip", "voip"},
		{"and its push type", []string{bundle + ".voip"}, "", "voip", bundle + ".voip", "voip"},
		{"and its topic", []string{bundle + ".voip"}, bundle + ".voip", "", bundle + ".voip", "voip"},
		{"a certificate for complications", []string{bundle + ".complication"}, "", "", bundle + ".complication", "complication"},
		{"a certificate for all", universal, "", "", bundle, "alert"},
		{"and calls", universal, "", "voip", bundle + ".voip", "voip"},
		{"and calls by the topic", universal, bundle + ".voip", "", bundle + ".voip", "voip"},
		{"and what it covers without naming it", universal, "", "pushtotalk", bundle + ".voip-ptt", "pushtotalk"},
		{"only the bundle ID", []string{bundle}, "", "complication", bundle + ".complication", "complication"},
		{"a VoIP certificate that names the app, too", []string{bundle + ".voip", bundle}, "", "alert", bundle, "alert"},
		{"an MDM certificate", []string{managed}, "", "", managed, "mdm"},
		{"and its push type", []string{managed}, "", "mdm", managed, "mdm"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := certifiedFor(t, ca, test.certified...)
			p.Topic, p.PushType = test.topic, test.pushType
			if live(t, p); p.topic != test.wantTopic || p.pushType.Name != test.wantType {
				t.Errorf("the topic is %s, the type %s", p.topic, p.pushType.Name)
			}
		})
	}
}

func TestAPushTypeThatACertificateIsNotForFailsTheLoad(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	tests := []struct {
		name            string
		certified       []string
		topic, pushType string
		parts           []string
	}{
		{"alerts with a VoIP certificate", []string{bundle + ".voip"}, "", "alert", []string{`push_type: "alert"`, bundle + ".voip", "leave push_type out", bundle}},
		{"a complication with one", []string{bundle + ".voip"}, "", "complication", []string{`push_type: "complication"`, bundle + ".complication"}},
		{"mdm with an app's", []string{bundle}, "", "mdm", []string{`push_type: "mdm"`, bundle, "com.apple.mgmt."}},
		{"alerts with an MDM certificate", []string{managed}, "", "alert", []string{`push_type: "alert"`, managed, "bundle ID"}},
		{"calls, and the topic is that of a VoIP certificate twice", []string{bundle + ".voip"}, bundle + ".voip.voip", "", []string{"topic:", "not one of the certificate's topics"}},
		{"location", []string{bundle}, bundle + ".location-query", "", []string{"topic:", ".location-query", "location", "key_file"}},
		{"location by its type", []string{bundle}, "", "location", []string{"location", "key_file"}},
		{"a Live Activity", []string{bundle}, bundle + ".push-type.liveactivity", "", []string{"topic:", "liveactivity", "key_file"}},
		{"a location certificate", []string{bundle + ".location-query"}, "", "", []string{"location", "key_file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := certifiedFor(t, ca, test.certified...)
			p.Topic, p.PushType = test.topic, test.pushType
			refuses(t, p, test.parts...)
		})
	}
}
