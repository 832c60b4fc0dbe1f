package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// The cost of a request grows with its size, not with its size times its devices.

func TestLargePushesForManyDevicesTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	if !insideNamespaceUnraced(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	victim := l.proven("https://20.0.0.1/201/victim")
	got := l.attack(60, 60, func(n int) string {
		return large(fmt.Sprint("$attack", n), 200_000, keyed(madeUp(99, func(d int) string {
			return fmt.Sprintf("https://9.9.9.9/503/stranger-%d-%d", n, d)
		})))
	})()
	t.Logf("the attack is answered: %v", got)
	if got[http.StatusOK]+got[http.StatusServiceUnavailable] != 60 {
		t.Errorf("the attack is answered %v, want only 200 and 503", got)
	}
	if _, err := victim.push(patience); err != nil {
		t.Error(err)
	}
	// The program that is shipped maps 49 MB of its file, so it stays below 200 MB. This one is larger, and its file does not count.
	wantBelow(t, "own memory in MB", l.gateway.peakOwnMemory()/1e6, 150)
}

// The request has thousands of members and a hundred devices, and each push is retried again and again.
func TestARequestOfManyMembersTakesBoundedTime(t *testing.T) {
	t.Parallel()
	if !insideNamespaceUnraced(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	for _, status := range []int{http.StatusCreated, http.StatusTooManyRequests} {
		before := l.gateway.cpu()
		r := l.gateway.homeserver().notify(manifold(fmt.Sprint("$attack", status), 12_000, keyed(madeUp(99, func(d int) string {
			return fmt.Sprintf("https://9.9.9.9/%d/stranger-%d", status, d)
		}))))
		// Retries go on after the answer, so the test measures the CPU time after a while.
		l.await(attackTime(5*time.Second)/5, func() bool { return false })
		t.Logf("endpoints that say %d: answered %d %.100s", status, r.Status, r.Body)
		wantBelow(t, "CPU time", l.gateway.cpu()-before, time.Second)
	}
}
