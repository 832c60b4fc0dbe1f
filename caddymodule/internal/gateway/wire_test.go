package gateway

import (
	"reflect"
	"strings"
	"sync"
	"testing"
)

// full has every member that the decoder knows, and as many devices as there is no room for in a wireRequest.
const full = `{"notification":{"id":"$i","event_id":"$e","room_id":"!r","type":"t","sender":"@s","sender_display_name":"S","room_name":"R",` +
	`"room_alias":"#r","membership":"join","user_is_target":true,"prio":"low","content":{"body":"b"},"counts":{"unread":1,"missed_calls":2},` +
	`"ciphertext":"c","ephemeral":"e","mac":"m","devices":[{"app_id":"a","pushkey":"k","pushkey_ts":1,"data":{"x":1},"tweaks":{"y":1}},` +
	`{"app_id":"b","pushkey":"l","pushkey_ts":2,"data":{"x":2},"tweaks":{"y":2}}]}}`

// Guards against a value of one request in another one, since requests are decoded into the same memory.
func TestARequestHasNothingOfTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	bare := `{"notification":{"devices":[{"app_id":"a","pushkey":"k"}]}}`
	want := mustDecode(t, bare)
	one := strings.Replace(full, `,{"app_id":"b"`, `],"more":[{"app_id":"b"`, 1)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				for _, before := range []string{full, one, full[:len(full)-1], strings.Replace(full, `"$e"`, "1", 1), `{}`} {
					kept, _ := Decode([]byte(before), 100)
					if got, err := Decode([]byte(bare), 100); err != nil || got.Notification.Counts != want.Notification.Counts ||
						got.Notification.EventID != "" || got.Notification.Content != nil || !reflect.DeepEqual(got.Devices, want.Devices) {
						t.Errorf("after %s: %+v, %+v, %v", before, got, got.Notification, err)
					}
					if kept != nil && (kept.Notification.EventID != "$e" || kept.Devices[0].PushkeyTS != 1000 || string(kept.Devices[0].Data) != `{"x":1}`) {
						t.Errorf("%s became %+v, %+v", before, kept, kept.Notification)
					}
				}
			}
		})
	}
	all.Wait()
}

// Guards against memory that is kept for a request that was answered long ago.
func TestNothingOfARequestIsKeptForTheNextOne(t *testing.T) {
	t.Parallel()
	for _, body := range []string{full, full[:len(full)-1], strings.Replace(full, `"$e"`, "1", 1), synapseBody} {
		_, _ = Decode([]byte(body), 100)
		if w := wires.Get(); !reflect.DeepEqual(w, new(wireRequest)) {
			t.Errorf("%+v is kept", w)
		}
	}
}

// A push may keep its device for longer than its request's Hand counts the body.
func TestADeviceDoesNotKeepALargeBody(t *testing.T) {
	t.Parallel()
	for _, size := range []int{smallBody, smallBody + 1} {
		body := []byte(strings.Replace(full, `"$i"`, `"`+strings.Repeat("i", size-len(full)+len("$i"))+`"`, 1))
		r, err := Decode(body, 100)
		if err != nil || len(body) != size {
			t.Fatalf("%v of %d bytes", err, len(body))
		}
		clear(body)
		d, content := r.Devices[0], r.Notification.Content
		isCopy := string(d.Data) == `{"x":1}` && string(d.Tweaks) == `{"y":1}` && string(content) == `{"body":"b"}`
		if isCopy != (size > smallBody) {
			t.Errorf("in a body of %d bytes, %q, %q and %q are copies: %t", size, d.Data, d.Tweaks, content, isCopy)
		}
		if cap(d.Data) != len(d.Data) && !isCopy {
			t.Error("appending to the data would change the body")
		}
	}
}
