package gateway

import (
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// nestedAt returns requests that are nested to a depth, each in another place.
func nestedAt(depth int) map[string]string {
	lists := func(outer int) string { return strings.Repeat("[", depth-outer) + strings.Repeat("]", depth-outer) }
	objects := func(outer int) string {
		return strings.Repeat(`{"a":`, depth-outer-1) + "{}" + strings.Repeat("}", depth-outer-1)
	}
	const device = `{"app_id":"a","pushkey":"k"`
	return map[string]string{
		"the content":             `{"notification":{"event_id":"$1","content":` + objects(2) + `,"devices":[` + device + `}]}}`,
		"what nobody knows":       `{"notification":{"event_id":"$1","x":` + lists(2) + `,"devices":[` + device + `}]}}`,
		"what is in the counts":   `{"notification":{"event_id":"$1","counts":{"x":` + lists(3) + `},"devices":[` + device + `}]}}`,
		"a device's data":         `{"notification":{"event_id":"$1","devices":[` + device + `,"data":` + objects(4) + `}]}}`,
		"a device's tweaks":       `{"notification":{"event_id":"$1","devices":[` + device + `,"tweaks":` + objects(4) + `}]}}`,
		"what is not an object":   `{"notification":{"event_id":"$1","devices":[` + device + `,"data":` + lists(4) + `}]}}`,
		"beside it":               `{"x":` + lists(1) + `,"notification":{"event_id":"$1","devices":[` + device + `}]}}`,
		"text that looks like it": `{"notification":{"event_id":"$1","type":"` + strings.Repeat(`[\"`, depth) + `","devices":[` + device + `}]}}`,
	}
}

// What is accepted is stored with two more levels around it, and encoding/json does not read JSON that is nested too deeply. A push
// that was accepted would have been dropped as unreadable.
func TestWhatIsAcceptedIsNotTooDeepToBeReadAgain(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{5, 100, maxNesting - 1, maxNesting} {
		for place, body := range nestedAt(depth) {
			r, e := Decode([]byte(body), 1)
			if e != nil {
				t.Errorf("%d levels in %s: %v", depth, place, e)
				continue
			}
			wantStored(t, &providers.Push{ID: "1", Notification: r.Notification, Device: &r.Devices[0]})
			if t.Failed() {
				t.Fatalf("%d levels in %s", depth, place)
			}
		}
	}
	for _, depth := range []int{maxNesting + 1, 10_000, 10_001, 100_000} {
		for place, body := range nestedAt(depth) {
			if _, e := Decode([]byte(body), 1); (e == nil || e.Code != "M_NOT_JSON") && !strings.HasPrefix(place, "text") {
				t.Errorf("%d levels in %s: %v", depth, place, e)
			}
		}
	}
}
