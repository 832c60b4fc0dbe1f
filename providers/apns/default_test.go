package apns

import (
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// newKnown returns a memory without a default_payload.
func newKnown(t *testing.T) *readonce.Devices[*defaults] {
	t.Helper()
	known, err := readonce.New[*defaults]()
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// Guards against a push that changes what the next one starts from.
func TestADefaultPayloadThatWasReadBeforeGivesTheSamePayload(t *testing.T) {
	t.Parallel()
	all := []string{elementX, elementClassic, contentAvailable, stringAlert, objectAlert, ``, `{"default_payload": {"x": "` + strings.Repeat("x", 2000) + `"}}`}
	for _, request := range corpus.Requests() {
		all = append(all, string(request.Device().Data))
	}
	notifications := []*providers.Notification{
		notice(), notice().Reduced(), notice(counts(0)), notice(encrypted), notice(encrypted).Reduced(), messagetest.Badge(), notice(call("audio")),
	}
	known := newKnown(t)
	for _, limit := range []int{4096, 300, 200} {
		for range 2 {
			for _, data := range all {
				for _, n := range notifications {
					for _, pushType := range []string{"", "background", "liveactivity", "mdm", "voip"} {
						o := options{threadRoom: true, pushType: pushType}
						want, wantErr := build(n, deviceWith(data), o, limit)
						o.known = known
						got, err := build(n, deviceWith(data), o, limit)
						if string(got.payload) != string(want.payload) || got.background != want.background || (err == nil) != (wantErr == nil) {
							t.Fatalf("%s, %s, %d bytes: got %s (%v), want %s (%v)", data, pushType, limit, got.payload, err, want.payload, wantErr)
						}
					}
				}
			}
		}
	}
}

// Most of an app's devices have the same data.
func TestADefaultPayloadIsReadOnceForAllDevices(t *testing.T) {
	t.Parallel()
	known := newKnown(t)
	first, second := deviceWith(elementX), deviceWith(elementX)
	second.Pushkey += "00"
	if a, b := defaultsOf(first, known), defaultsOf(second, known); a != b || len(a.members) == 0 {
		t.Errorf("got %p and %p, want the same: %+v", a, b, a)
	}
	if a, b := defaultsOf(first, known), defaultsOf(deviceWith(elementClassic), known); a == b {
		t.Error("devices with other data have the same default_payload")
	}
}

// A preview reports nothing, and what it reads is remembered.
func TestWhatIsWrongIsReportedEvenIfItWasReadBefore(t *testing.T) {
	t.Parallel()
	const data = `{"default_payload": {"aps": 1}}`
	o := options{known: newKnown(t)}
	if _, err := build(notice(), deviceWith(data), o, 4096); err != nil {
		t.Fatal(err)
	}
	faults, reported := messagetest.Faults()
	o.faults = faults
	if _, err := build(notice(), deviceWith(data), o, 4096); err != nil {
		t.Fatal(err)
	}
	messagetest.WantReported(t, reported, "data.default_payload.aps")
}
