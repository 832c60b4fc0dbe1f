package gateway

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// wake has the gateway wake a device.
func (r *rig) wake(n providers.Notification, pushkey, data string) string {
	r.t.Helper()
	n.Wake = true
	devices := []providers.Device{{AppID: "app", Pushkey: pushkey, Data: json.RawMessage(data)}}
	return line(r.Notify(&Request{Notification: &n, Devices: devices}, r.site, everything))
}

// hasty is a provider that does not know wake-ups, but has its own rule for what a push replaces.
type hasty struct{ *outage }

func (hasty) Replace(*providers.Notification, *providers.Device) string { return "" }

func TestX19_AfterAnOutageOfAnHourTheNewestWakeUpIsDeliveredAndNoOther(t *testing.T) {
	t.Parallel()
	for name, provider := range map[string]func(*outage) providers.Provider{
		"a provider without Replace": func(o *outage) providers.Provider { return o },
		"a provider with Replace":    func(o *outage) providers.Provider { return hasty{o} },
	} {
		bubbleIn(t, name, func(t *testing.T) {
			p := newOutage(providers.Retry("unavailable", 0, nil))
			r, _ := keeping(t, appFor("app", provider(p)))
			for i := range 200 {
				wantLine(t, r.wake(providers.Notification{}, "phone", fmt.Sprintf(`{"number":%d}`, i)), `[]`)
				if i%50 == 0 {
					wantLine(t, r.wake(providers.Notification{}, "other", `{}`), `[]`)
				}
				// Trials begin at whole seconds. While one is under way, its wake-up is not replaced.
				time.Sleep(time.Hour/200 + time.Millisecond)
			}
			synctest.Wait()
			n := len(p.asked())
			p.fixed.Store(true)
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			delivered := received(p.asked()[n:])
			if got := delivered["phone"]; len(got) != 1 || got[0] != `{"number":199} true` {
				t.Errorf("the phone got %q", got)
			}
			if got := delivered["other"]; len(got) != 1 {
				t.Errorf("the other phone got %q", got)
			}
		})
	}
}

// received returns the data of pushes by pushkey, and whether each is a wake-up.
func received(pushes []*providers.Push) map[string][]string {
	by := make(map[string][]string)
	for _, p := range pushes {
		by[p.Device.Pushkey] = append(by[p.Device.Pushkey], fmt.Sprint(string(p.Device.Data), " ", p.Notification.Wake))
	}
	return by
}

func TestAWakeUpReplacesOnlyWakeUps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Limited("busy", time.Minute, nil))
		r, _ := keeping(t, appFor("app", p))
		wantLine(t, r.notify(event("$1", device("phone"))), `[]`)
		wantLine(t, r.wake(providers.Notification{}, "phone", `{}`), `[]`)
		wantLine(t, r.notify(badge(device("phone"))), `[]`)
		wantLine(t, r.wake(providers.Notification{}, "phone", `{"newest":true}`), `[]`)
		for range 2 {
			wantLine(t, r.wake(providers.Notification{Prio: providers.PrioLow}, "phone", `{}`), `[]`)
		}
		n := len(p.asked())
		p.fixed.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		pushes := p.asked()[n:]
		if len(pushes) != 4 {
			t.Fatalf("%d pushes were delivered, want the event, the badge update and the newest wake-up of each priority", len(pushes))
		}
		if newest := pushes[2]; !newest.Notification.Wake || string(newest.Device.Data) != `{"newest":true}` {
			t.Errorf("the newest one is %+v for %s", newest.Notification, newest.Device.Data)
		}
		if last := pushes[3].Notification; !last.Wake || last.Prio != providers.PrioLow {
			t.Errorf("the last one is %+v", last)
		}
	})
}

func TestTheSameWakeUpAgainIsNoDuplicate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r := newRig(t, appFor("app", p)).withOutbox()
		for range 3 {
			wantLine(t, r.wake(providers.Notification{}, "phone", `{}`), `[]`)
		}
		wantPushes(t, p, 3)
	})
}

func TestAPushFromBeforeWakeUpsExistedIsNone(t *testing.T) {
	t.Parallel()
	var kept providers.Push
	const earlier = `{"Notification":{"EventID":"$e","RoomID":"!r","Prio":0,"Counts":{"Unread":1},"Badge":false},"Device":{"Pushkey":"key"},"ID":"1"}`
	if err := json.Unmarshal([]byte(earlier), &kept); err != nil || kept.Notification.EventID != "$e" || kept.Notification.Wake {
		t.Errorf("got %+v, %v", kept.Notification, err)
	}
	app := appFor("app", always(providers.Delivered()))
	if what := app.Replace(kept.Notification, kept.Device); what != "" {
		t.Errorf("it replaces %q", what)
	}
	wake := &providers.Notification{Wake: true}
	one, again, two := &providers.Device{Account: "one"}, &providers.Device{Account: "one"}, &providers.Device{Account: "two"}
	if what := app.Replace(wake, one); what != app.Replace(wake, again) || what == app.Replace(wake, two) {
		t.Errorf("a wake-up for one of two accounts replaces %q", what)
	}
	if what := app.Replace(&providers.Notification{Wake: true}, kept.Device); what != outbox.ReplaceWake {
		t.Errorf("a wake-up replaces %q", what)
	}
}

func TestNoHomeserverCanSendAWakeUp(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"notification":{"wake":true,"Wake":true,"devices":[` + device("key") + `]},"Wake":true}`,
		`{"notification":{"event_id":"$e","Wake":true,"devices":[` + device("key") + `]}}`,
	} {
		if r, err := Decode([]byte(body), 10); err != nil || r.Notification.Wake {
			t.Errorf("%s: got %+v, %v", body, r.Notification, err)
		}
	}
}
