package pushtype

import (
	"strings"
	"testing"
)

// table is Apple's table in "Sending notification requests to APNs", section "Know when to use push types". Controls and widgets are on
// WidgetKit's pages. Each topic is for the app org.example.app.
var table = []struct {
	name, topic string
	want        Type
}{
	{"alert", "org.example.app", Type{MaxPayload: 4096}},
	{"background", "org.example.app", Type{MaxPayload: 4096, Priority: 5}}, // "Using priority 10 is an error"
	{"voip", "org.example.app.voip", Type{MaxPayload: 5120}},
	{"complication", "org.example.app.complication", Type{MaxPayload: 4096}},
	{"fileprovider", "org.example.app.pushkit.fileprovider", Type{MaxPayload: 4096}},
	{"location", "org.example.app.location-query", Type{MaxPayload: 4096, KeyOnly: true}},             // JWT only
	{"liveactivity", "org.example.app.push-type.liveactivity", Type{MaxPayload: 4096, KeyOnly: true}}, // no certificates
	{"pushtotalk", "org.example.app.voip-ptt", Type{MaxPayload: 4096, Priority: 10, Once: true}},
	{"widgets", "org.example.app.push-type.widgets", Type{MaxPayload: 4096}},
	{"controls", "org.example.app.push-type.controls", Type{MaxPayload: 4096}},
	{"mdm", "com.apple.mgmt.External.5f0d1a8c-7c1e-4c35-9a32-0f5f5a3f4f11", Type{MaxPayload: 4096}},
}

func TestEachPushTypeIsAsAppleDocumentsIt(t *testing.T) {
	t.Parallel()
	if len(types) != len(table) {
		t.Errorf("there are %d push types, and %d are documented", len(types), len(table))
	}
	for _, row := range table {
		got, known := Named(row.name)
		row.want.Name, row.want.Ending = row.name, strings.TrimPrefix(row.topic, "org.example.app")
		if row.name == "mdm" {
			row.want.Ending = ""
		}
		if !known || got != row.want {
			t.Errorf("%s is %+v, want %+v", row.name, got, row.want)
		}
		if want := row.name; Of(row.topic).Name != want && want != "background" {
			t.Errorf("%s is for %s, want %s", row.topic, Of(row.topic).Name, want)
		}
	}
}

// A topic fits only the types of its ending.
func TestAPushTypeFitsItsOwnTopicOnly(t *testing.T) {
	t.Parallel()
	for _, row := range table {
		for _, other := range table {
			field, text := Misfit(row.name, other.topic)
			fits := other.topic == row.topic
			if (text == "") != fits || (field == "") != fits {
				t.Errorf("%s for %s: %s: %s", row.name, other.topic, field, text)
				continue
			}
			if fits {
				continue
			}
			for _, part := range []string{row.name, other.topic, "leave push_type out", "set topic to"} {
				if !strings.Contains(text, part) {
					t.Errorf("%s for %s: %q does not say %q", row.name, other.topic, text, part)
				}
			}
			if plain := other.name == "alert" || other.name == "background"; plain != (field == "topic") {
				t.Errorf("%s for %s is a matter of %s", row.name, other.topic, field)
			}
		}
	}
}

func TestTheCureNamesTheTopicThatWouldFit(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, topic, want string }{
		{"voip", "org.example.app", `set topic to "org.example.app.voip"`},
		{"alert", "org.example.app.voip", `set topic to "org.example.app"`},
		{"pushtotalk", "org.example.app.voip", `set topic to "org.example.app.voip-ptt"`},
		{"mdm", "org.example.app", "set topic to the UID in the subject of the MDM certificate"},
		{"voip", "com.apple.mgmt.External.1", "set topic to the app's bundle ID.voip"},
		{"alert", "com.apple.mgmt.External.1", "set topic to the app's bundle ID"},
	}
	for _, test := range tests {
		if _, text := Misfit(test.name, test.topic); !strings.Contains(text, test.want) {
			t.Errorf("%s for %s: %q, want %q", test.name, test.topic, text, test.want)
		}
	}
}

func TestWhatOnlyLooksLikeAnEndingIsABundleID(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{
		"org.example.VOIP", "org.example.voip.app", "org.examplevoip", "org.example.voip-pt", "org.example.liveactivity", "com.apple.mgmtx.app", "voip",
	} {
		if got := Of(topic); got.Name != Alert {
			t.Errorf("%s is for %s", topic, got.Name)
		}
	}
}
