package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// many returns a request with many members and devices. Each third device wants no counts.
func many(members, devices int) string {
	var b strings.Builder
	b.WriteString(`{"notification":{"event_id":"$e","counts":{"unread":1}`)
	for i := range members {
		fmt.Fprintf(&b, `,"member%d":%d`, i, i)
	}
	list := make([]string, devices)
	for i := range list {
		list[i] = fmt.Sprintf(`{"app_id":"app","pushkey":"key%d","data":{"disable_badge_count":%v}}`, i, i%3 == 0)
	}
	return b.String() + `,"devices":[` + strings.Join(list, ",") + `]}}`
}

// Guards against finding 4 of the review: all members were decoded for each device, form and attempt.
func TestANotificationIsReducedOnceForAllWhoSeeTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Limited("http_429", 0, nil))
		asked := 0
		app := appFor("app", reducing{p, &asked})
		app.Content = providers.ContentFull
		r, stop := keeping(t, app)
		wantLine(t, r.notify(many(4000, 99)), `[]`)
		first := p.asked()
		seen := make(map[*providers.Notification]bool)
		for _, push := range first {
			seen[push.Notification] = true
			want := "4001" // with the event's id
			if push.Notification.Counts.Unread != nil {
				want = "4002"
			}
			if string(push.Notification.Prepared) != want {
				t.Errorf("prepared is %s, want %s", push.Notification.Prepared, want)
			}
		}
		if asked != 2 || len(seen) != 2 || len(first) != 99 {
			t.Errorf("reduced %d times, for %d pushes of %d notifications", asked, len(first), len(seen))
		}
		time.Sleep(10 * time.Minute) // some attempts from the outbox
		stop()
		if pushes := p.asked(); asked != 2 || len(pushes) < 200 {
			t.Errorf("after %d attempts, it was reduced %d times", len(pushes), asked)
		}
		for _, push := range p.asked()[99:] {
			if push.Notification.Body != nil || len(push.Notification.Prepared) != 4 {
				t.Fatalf("an attempt out of the outbox has %+v", push.Notification)
			}
		}
	})
}

// Guards against findings 2 and 3 of the review: content and body were stored for each device.
func TestTheOutboxKeepsWhatWouldBeSentAndNotWhatWasReceived(t *testing.T) {
	t.Parallel()
	for _, reduces := range []bool{true, false} {
		t.Run(fmt.Sprint("reduced by the provider: ", reduces), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(providers.Retry("busy", 0, nil))
				app := appFor("app", p)
				most := providers.MaxKept + 1000
				if reduces {
					app.Provider, most = reducing{p, new(int)}, 1000
				}
				app.Content = providers.ContentFull
				r := newRig(t, app).withOutbox()
				request := large(t, r.Shared, 99)
				if got := line(r.Notify(request, providers.Site{}, everything)); got != "[]" {
					t.Fatalf("answered %s", got)
				}
				if len(r.box.entries) != 99 {
					t.Fatalf("%d entries", len(r.box.entries))
				}
				for i := range r.box.entries {
					if size := len(r.box.entries[i].Push); size > most {
						t.Fatalf("an entry has %d bytes", size)
					}
				}
			})
		})
	}
}

func TestAPushThatIsKeptComesBackAsItWas(t *testing.T) {
	t.Parallel()
	unread := int64(3)
	push := &providers.Push{
		Notification: &providers.Notification{
			EventID: "$e", Counts: providers.Counts{Unread: &unread}, Content: json.RawMessage(`{"body":"<&>\u003c\u2028"}`),
			Prepared: json.RawMessage(`{"notification":{"x":"<&>` + "\u2028" + `\u003e"}}`),
		},
		Device: &providers.Device{AppID: "app", Pushkey: "k<", PushkeyTS: 1, Data: json.RawMessage(`{"default_payload":{"a":"<&>"}}`)},
		ID:     "id", Expires: time.Unix(1_800_000_000, 0).UTC(), Site: providers.Site{Host: "push.example.org", Port: "443"},
	}
	stored, err := marshalKept(push, (&view{Notification: push.Notification}).stored())
	var back providers.Push
	if err := json.Unmarshal(stored, &back); err != nil || !reflect.DeepEqual(&back, push) {
		t.Errorf("it came back as %+v, %v", back, err)
	}
	if err != nil || bytes.ContainsRune(stored, '\n') {
		t.Errorf("stored as %s, %v", stored, err)
	}
	want, got := reflect.TypeFor[providers.Push](), reflect.TypeFor[keptPush]()
	for i := range want.NumField() {
		if got.NumField() != want.NumField() || got.Field(i).Name != want.Field(i).Name {
			t.Errorf("a push has %s, which is not kept", want.Field(i).Name)
		}
	}
}

// keptEarlier is an entry as stored before providers reduced notifications.
const keptEarlier = `{"Notification":{"EventID":"$e","RoomID":"!r","Type":"m.room.message","Sender":"@s","SenderDisplayName":"","RoomName":"","RoomAlias":"",` +
	`"Membership":"","UserIsTarget":false,"Prio":0,"Counts":{"Unread":2,"MissedCalls":null},"Content":{"body":"hello"},` +
	`"Encrypted":{"Ciphertext":"","Ephemeral":"","MAC":""},"Badge":false,"Body":{"notification":{"com.example":1,"event_id":"$e","room_id":"!r"}}},` +
	`"Device":{"AppID":"app","Pushkey":"key","PushkeyTS":1000},"ID":"id","Expires":"2100-01-01T00:00:00Z","Site":{"Host":"","Port":""}}`

func TestAnEntryOfAnEarlierVersionIsDeliveredWithAllThatItHas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r := newRig(t, appFor("app", reducing{p, new(int)}))
		r.retry(r.Router.Apps()[0], outbox.Leased{Entry: outbox.Entry{
			ID: "id", App: "app", Push: []byte(keptEarlier), Accepted: time.Now(), Expires: time.Now().Add(time.Hour),
		}})
		pushes := p.asked()
		if len(pushes) != 1 {
			t.Fatalf("%d pushes", len(pushes))
		}
		if n := pushes[0].Notification; len(n.Members()) != 3 || string(n.Content) != `{"body":"hello"}` || *n.Counts.Unread != 2 {
			t.Errorf("it has %+v", n)
		}
	})
}
