package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// resident returns how many bytes of memory the process has.
func (p *process) resident() (bytes int64) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Skip("memory is measured on Linux only")
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscanf(rest, "%d kB", &bytes); err != nil {
		p.t.Fatal(err)
	}
	return bytes << 10
}

func (p *process) size(name string) int64 {
	p.t.Helper()
	info, err := os.Stat(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return info.Size()
}

// APNs is down for some seconds, and another app's push server works. The homeservers get their answers in time, and nobody is rejected.
// When APNs is back, accepted pushes arrive in order. Of the badge updates, each device gets the newest.
func TestAnOutageKeepsAnsweringAndLosesNothing(t *testing.T) {
	t.Parallel()
	const (
		phones  = 12
		lasting = 3 * time.Second
		memory  = 256 << 20 // more than the process has at the beginning: it is race-checked
		disk    = 32 << 20
	)
	a, u := newApple(t), newUnreliable(t)
	gateway := startGateway(t, durable+a.app("org.example.ios", "", "wait 0")+a.app("org.example.patient", "", "wait 1s")+
		u.moreUp("org.example.up", "wait 20s"), "matrix_push")
	v, fine := newEvidence(t), u.phone("fine")
	devices := append(iPhones("org.example.ios", phones), iPhones("org.example.patient", phones)...)
	hs := gateway.homeserver()
	for _, d := range devices {
		accepted(t, v.alert(hs, "$0", d))
	}
	a.await(t, func() bool { return len(a.Pushes()) == len(devices) })
	before := gateway.resident()

	a.Answer("", apnstest.Answer{Reason: "ServiceUnavailable", Times: -1})
	var over atomic.Bool
	var clients sync.WaitGroup
	var sent [2 * phones]int
	for i, d := range devices {
		hs := gateway.homeserver()
		patience := 2 * time.Second
		if d.AppID == "org.example.patient" {
			patience += time.Second
		}
		clients.Go(func() {
			for !over.Load() {
				sent[i]++
				event := fmt.Sprint("$", sent[i])
				start := time.Now()
				r, err := v.try(hs, event, alert(event, d), d)
				if err != nil || r.Status != http.StatusOK || len(r.Rejected) > 0 {
					t.Errorf("%s: answered %d %s (error %v)", event, r.Status, r.Body, err)
					return
				}
				if r, err := v.try(hs, "", badge(sent[i], d), d); err != nil || r.Status != http.StatusOK {
					t.Errorf("a badge update was answered %d %s (error %v)", r.Status, r.Body, err)
				}
				if took := time.Since(start); took > 2*patience {
					t.Errorf("%s and a badge update took %s to be answered", event, took)
				}
				<-time.After(40 * time.Millisecond)
			}
		})
	}
	var served []string
	for start := time.Now(); time.Since(start) < lasting; {
		event := fmt.Sprint("$", len(served))
		served = append(served, event)
		sent := time.Now()
		accepted(t, u.alert(hs, event, fine))
		if took := time.Since(sent); took > generous {
			t.Errorf("the other app's %s took %s", event, took)
		}
		<-time.After(10 * time.Millisecond)
	}
	over.Store(true)
	clients.Wait()
	if grown := gateway.resident() - before; grown > memory {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
	if size := gateway.size("outbox.db"); size > disk {
		t.Errorf("the outbox has %d MiB", size>>20)
	}
	if n := len(a.Pushes()); n != len(devices) {
		t.Errorf("%d pushes arrived in the outage", n-len(devices))
	}
	u.awaitTaken(fine, served...)

	a.Answer("")
	total := len(devices) // the pushes of $0
	for i := range devices {
		total += sent[i] + 1
	}
	a.await(t, func() bool { return len(a.Pushes()) >= total })
	badges := make(map[string][]string)
	for _, p := range a.Pushes() {
		if member(t, p.Payload, "event_id") == nil {
			badges[p.Token] = append(badges[p.Token], fmt.Sprint(member(t, p.Payload, "aps", "badge")))
		}
	}
	for i, d := range devices {
		if want := []string{fmt.Sprint(sent[i])}; !slices.Equal(badges[d.path()], want) {
			t.Errorf("device %d got the badges %q, want %q", i, badges[d.path()], want)
		}
	}
	r := a.evidence(v).check()
	var b strings.Builder
	r.Write(&b)
	t.Logf("%d requests for the other app\n%s", len(served), b.String())
	if r.Taken != total-len(devices) || r.Taken < 5*len(devices) {
		t.Errorf("%d events arrived, want %d, which are enough", r.Taken, total-len(devices))
	}
}
