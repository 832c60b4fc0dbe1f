package e2e

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestSynapsesEventsArriveAsTheDevicesReadThem has a user with many devices. testdata/synapse has what each of them gets for an event: the
// device's app_id, the priority that its push service gets, how the push arrived, and all that the device reads.
//
// The apps whose names end with .ids have pushers of the format event_id_only, as those of Element X, and the gateway's defaults; those
// with .full have pushers of the full format, and the gateway lets everything through. org.example.ios.reduced has such pushers,
// but lets only ids through. org.example.up.encrypted has a pusher with keys.
func TestSynapsesEventsArriveAsTheDevicesReadThem(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string {
		return stateless + p.apps(".ids", "wait 20s") + p.apps(".full", "wait 20s\ncontent full") + p.apns.app("org.example.ios.reduced", "", "") +
			strings.Replace(p.service.moreUp("org.example.up.encrypted", "wait 20s"), "unifiedpush {", "unifiedpush {\nvapid_subject mailto:ops@example.org", 1)
	})
	devices := append(s.handsets(".ids", "event_id_only"), s.handsets(".full", "")...)
	reduced := iPhoneOf("org.example.ios.reduced", rand.Text())
	delete(reduced.Data, "format")
	devices = append(devices, s.ofAPNs(reduced), s.encrypted("org.example.up.encrypted"))
	carol := s.hs.register(t, "Carol Danvers")
	group, two := s.alice.room("Mad Tea Party", s.bob, carol), s.alice.room("", s.bob)
	s.register(devices...)

	text := func(body string) map[string]any { return map[string]any{"msgtype": "m.text", "body": body} }
	mention := text("Bob: have some wine")
	mention["m.mentions"] = map[string]any{"user_ids": []string{s.bob.id}}
	call := map[string]any{"sdp": "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\n", "type": "offer"}
	for i, step := range []struct {
		name string
		// does returns the room and the event that bob's devices must get.
		does func() (room, event string)
	}{
		{"message", func() (string, string) { return group, s.alice.send(group, "m.room.message", text("Have some wine")) }},
		{"encrypted", func() (string, string) {
			return group, s.alice.send(group, "m.room.encrypted", map[string]any{
				"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnACgAkLmt6qF84IK", "session_id": "X3lUlvLELLYxeTx4yOVu6UDpasGEVO0Jbu-QFnm0cKQ",
			})
		}},
		{"mention", func() (string, string) {
			s.alice.send(group, "m.room.message", map[string]any{"msgtype": "m.notice", "body": "Nobody gets a push for this"})
			return group, s.alice.send(group, "m.room.message", mention)
		}},
		{"invite", func() (string, string) { return s.alice.invite("Croquet Ground", s.bob) }},
		{"call", func() (string, string) {
			return two, s.alice.send(two, "m.call.invite", map[string]any{"call_id": "call-1234", "lifetime": 60000, "offer": call, "version": "1"})
		}},
		{"message_for_two", func() (string, string) { return two, s.alice.send(two, "m.room.message", text("Nobody else is here")) }},
	} {
		room, event := step.does()
		known := strings.NewReplacer(event, "<event>", room, "<room>", s.alice.id, "<alice>", s.bob.id, "<bob>")
		var got strings.Builder
		for _, h := range devices {
			a := h.arrivals(i + 1)[i]
			fmt.Fprintf(&got, "%s\n%s\n", strings.TrimSpace(h.AppID+" "+a.urgency+" "+a.form), known.Replace(string(sorted(t, a.payload))))
		}
		wantGolden(t, filepath.Join("testdata", "synapse", step.name+".golden"), got.String())
	}
}

// encrypted returns a device that can decrypt messages of UnifiedPush.
func (s synapseScene) encrypted(appID string) handset {
	sub := s.service.Subscribe()
	d := upDevice(sub.Endpoint)
	d.AppID, d.Data = appID, map[string]any{"p256dh": sub.P256dh, "auth": sub.Auth}
	return s.ofPushServer(d, sub.Path)
}
