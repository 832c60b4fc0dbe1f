package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Every other one of the made-up pushkeys is dead.
func TestDeadPushkeysOfStrangersFillNoLog(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	victim := l.proven("https://20.0.0.1/201/victim")
	const requests, devices = 20, 100
	endpoint := func(n, d int) string {
		return fmt.Sprintf("https://9.9.9.9/%d/stranger-%d-%d", []int{201, 410}[d%2], n, d)
	}
	t.Logf("the attack is answered: %v", l.attack(requests, 1, func(n int) string {
		return alert(fmt.Sprint("$attack", n), madeUp(devices, func(d int) string { return endpoint(n, d) })...)
	})())
	if !l.await(patience, l.moreTried(endpoint(requests-1, devices-1), 0)) {
		t.Fatal("the attack does not arrive")
	}
	l.await(time.Second, func() bool { return false }) // for lines that are logged later
	l.wantFewLines(1)
	if _, err := victim.push(patience); err != nil {
		t.Error(err)
	}
	l.gateway.wantNobodyCalled()
}

// Strangers' made-up devices can trip the fuse, which holds their verdicts. Nobody is alerted for that.
func TestAFuseThatStrangersTripCallsNobody(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	for _, tt := range []struct {
		name   string
		global string
		app    func(n int) string
		status int
	}{
		{"app_ids that nobody configured", "app org.example.phone {\nunifiedpush {\ntrusted_ca {ca}\n}\n}\n", func(n int) string {
			return fmt.Sprint("org.example.made-up", n)
		}, 201},
		{"pushkeys that are dead", "app * {\nunifiedpush {\ntrusted_ca {ca}\n}\n}\n", func(int) string { return "org.example.stranger" }, 410},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newAttackLab(t)
			l.startWith(strings.ReplaceAll(tt.global, "{ca}", l.ca.File), "")
			victim := l.proven("https://20.0.0.1/201/victim")
			for n := range 3 {
				devices := madeUp(40, func(d int) string { return fmt.Sprintf("https://9.9.9.%d/%d/stranger-%d", n, tt.status, d) })
				for d := range devices {
					devices[d].AppID = tt.app(d)
				}
				r := l.gateway.homeserver().notify(alert(fmt.Sprint("$attack", n), devices...))
				t.Logf("the attack is answered %d", r.Status)
			}
			if _, err := victim.push(patience); err != nil {
				t.Error(err)
			}
			l.gateway.wantNobodyCalled()
		})
	}
}
