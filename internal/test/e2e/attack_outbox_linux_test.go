package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// wantRoom sends pushes for devices that were delivered to, and for one more on their host, while the host is down. They must be accepted
// at once, must not make way for later pushes, and must arrive when the host is up.
func (l *attackLab) wantRoom(host string, victims []*client, more func()) {
	l.t.Helper()
	l.takeDown(host)
	guest := &client{
		device: device{AppID: "org.example.phone", Pushkey: "https://" + host + "/201/guest"}, lab: l, hs: l.gateway.homeserver(),
	}
	all := append(victims, guest)
	before := make(map[*client]int)
	for _, c := range all {
		before[c] = l.taken(c.endpoint())
		c.direct = true
		if err := c.accepted(patience); err != nil {
			l.t.Error(err)
			delete(before, c)
		}
	}
	more()
	l.bringUp(host)
	for c := range before {
		if !l.await(patience, l.moreTaken(c.endpoint(), before[c])) {
			l.t.Errorf("an accepted push for %s does not arrive", c.endpoint())
		}
	}
}

// victimsAt returns devices at a host that were delivered to.
func (l *attackLab) victimsAt(host string) (victims []*client) {
	l.t.Helper()
	l.names.set(host, []string{"20.0.0.1"})
	for n := range 5 {
		victims = append(victims, l.proven(fmt.Sprintf("https://%s/201/victim-%d", host, n)))
	}
	return victims
}

func TestSixteenLargeRequestsDoNotFillTheOutbox(t *testing.T) {
	t.Parallel()
	if !insideNamespaceUnraced(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	victims := l.victimsAt("victims.example")
	got := l.attack(16, 4, func(n int) string {
		return large(fmt.Sprint("$attack", n), 200_000, keyed(madeUp(99, func(d int) string {
			return fmt.Sprintf("https://9.9.9.9/503/stranger-%d-%d", n, d)
		})))
	})()
	t.Logf("the attack is answered: %v", got)
	l.wantRoom("victims.example", victims, func() {})
	l.gateway.wantNobodyCalled()
}

// Many small pushes fill the outbox, for one host or for many. The outbox is made smaller, so fewer pushes are enough.
func TestRoomInTheOutboxIsKeptForWhomPushesWereDeliveredTo(t *testing.T) {
	t.Parallel()
	if !insideNamespaceUnraced(t) {
		return
	}
	const room = 2000
	for _, tt := range []struct {
		name string
		host func(n int) string
	}{
		{"one host", func(int) string { return "9.9.9.9" }},
		{"many hosts", func(n int) string { return fmt.Sprintf("11.%d.%d.1", n%20, n%100) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newAttackLab(t)
			l.start(fmt.Sprintf("outbox file {\nmax_per_app %d\n}\n", room), "")
			victims := l.victimsAt("victims.example")
			fill := func(event string) {
				got := l.attack(2*room/100, 4, func(n int) string {
					return alert(fmt.Sprint(event, n), madeUp(100, func(d int) string {
						return fmt.Sprintf("https://%s/429/stranger-%s-%d-%d", tt.host(n*100+d), event, n, d)
					})...)
				})()
				t.Logf("the attack is answered: %v", got)
			}
			fill("$before")
			l.wantRoom("victims.example", victims, func() { fill("$after") })
		})
	}
}

// A server that refuses pushes that it never wanted gets few requests for them, however often a retry is due.
func TestPushesThatAreRefusedAreGivenUp(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	const devices, most, rounds = 100, 12, 40
	statuses := []int{http.StatusTooManyRequests, http.StatusForbidden, http.StatusUnauthorized}
	l.names.set("shared.example", []string{"20.0.0.2"})
	endpoint := func(status, d int) string { // on a host that refuses all pushes, and on one that accepts others
		return fmt.Sprintf("https://%s/%d/stranger-%d", []string{fmt.Sprint("9.9.9.", status%100), "shared.example"}[d%2], status, d)
	}
	other := l.proven("https://shared.example/201/other")
	// A device that was delivered to is not given up.
	victim := l.proven("https://20.0.0.1/201/victim")
	l.answer(victim.endpoint(), http.StatusTooManyRequests)
	if err := victim.accepted(patience); err != nil {
		t.Fatal(err)
	}
	for _, status := range statuses {
		body := alert(fmt.Sprint("$attack", status), madeUp(devices, func(d int) string { return endpoint(status, d) })...)
		wantBody(t, l.gateway.homeserver().notify(body), nothingRejected)
	}
	worst := func(status int) (requests int) {
		for d := range devices {
			requests = max(requests, l.tried(endpoint(status, d)))
		}
		return requests
	}
	// Instead of waiting for hours, the test retries all pending pushes as an operator can.
	for range rounds {
		if _, err := other.push(patience); err != nil {
			t.Fatal(err)
		}
		tried := l.tried(victim.endpoint())
		if !l.retried(l.moreTried(victim.endpoint(), tried)) {
			t.Fatal("the device that was delivered to is given up")
		}
	}
	for _, status := range statuses {
		requests := worst(status)
		t.Logf("%d: at most %d requests for a device", status, requests)
		if requests > most {
			t.Errorf("%d: %d requests for a device, want at most %d", status, requests, most)
		}
	}
	taken := l.taken(victim.endpoint())
	l.answer(victim.endpoint(), http.StatusCreated)
	if !l.retried(l.moreTaken(victim.endpoint(), taken)) {
		t.Error("an accepted push for the device that was delivered to does not arrive")
	}
	l.gateway.wantNobodyCalled()
}

// After a restart, no file has a push that was delivered or dropped, not even in unused bytes.
func TestWhatLeftTheOutboxIsInNoFile(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	const devices = 200
	endpoint := func(n int) string { return fmt.Sprintf("https://20.0.0.%d/429/SECRETPUSHKEY-%d", n%2+1, n) }
	for n := range devices {
		d := keyed([]device{{AppID: "org.example.phone", Pushkey: endpoint(n)}})
		body := compose(map[string]any{
			"event_id": fmt.Sprint("$SECRETEVENT-", n), "room_id": "!room:hs.test", "type": "m.room.message",
			"content": map[string]any{"msgtype": "m.text", "body": fmt.Sprint("SECRETTEXT-", n)},
		}, d)
		wantBody(t, l.gateway.homeserver().notify(body), nothingRejected)
	}
	for n := 0; n < devices; n += 2 {
		l.answer(endpoint(n), http.StatusCreated)
	}
	if !l.retried(func() bool {
		for n := 0; n < devices; n += 2 {
			if !l.moreTaken(endpoint(n), 0)() {
				return false
			}
		}
		return true
	}) {
		t.Error("not all pushes arrive")
	}
	for over := time.Now().Add(lost); ; { // a push with an attempt under way is not dropped
		if status, answer := l.gateway.adminDo(http.MethodPost, "/matrix_push/outbox/drop", `{"app":"*","all":true}`); status != http.StatusOK {
			t.Fatalf("answered %d %s", status, answer)
		}
		all, _ := l.gateway.scrape()
		if waiting := all.total("outbox_entries"); waiting == 0 {
			break
		} else if time.Now().After(over) {
			t.Fatalf("%v pushes are not dropped", waiting)
		}
	}
	l.gateway.terminate()
	t.Logf("found before the restart: %d pushkeys, %d texts, %d event_ids",
		l.found("SECRETPUSHKEY"), l.found("SECRETTEXT"), l.found("$SECRETEVENT"))
	l.start("", "")
	pushkeys, texts := l.found("SECRETPUSHKEY"), l.found("SECRETTEXT")
	for over := time.Now().Add(lost / 4); pushkeys+texts > 0 && time.Now().Before(over); { // the work after the start may take a while
		l.await(time.Second, func() bool { return false })
		pushkeys, texts = l.found("SECRETPUSHKEY"), l.found("SECRETTEXT")
	}
	if pushkeys+texts > 0 {
		t.Errorf("%d pushkeys and %d texts are found in the gateway's files", pushkeys, texts)
	}
}

// found returns how often a text is in the gateway's files.
func (l *attackLab) found(text string) (times int) {
	l.t.Helper()
	err := filepath.WalkDir(l.gateway.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		times += bytes.Count(content, []byte(text))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file may be replaced meanwhile
		l.t.Fatal(err)
	}
	return times
}
