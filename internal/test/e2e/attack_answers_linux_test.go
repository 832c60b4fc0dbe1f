package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The operator's resolver may know names that strangers do not. Neither an answer nor its time shows whether a private name exists.
func TestANameThatIsPrivateAndOneThatIsNotThereAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	for name, options := range map[string]string{
		"no outbox": "outbox off", "the default outbox": "", "an outbox that is full": "outbox file {\nmax_per_app 10\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newAttackLab(t)
			l.start(options, "")
			const looks = 20
			l.attack(1, 1, func(int) string {
				return alert("$fill", madeUp(50, func(n int) string { return fmt.Sprint("https://9.9.9.9/429/stranger-", n) })...)
			})()
			took := map[string]*latencies{"private": new(latencies), "nowhere": new(latencies)}
			for n := range looks {
				l.names.set(fmt.Sprintf("private-%d.corp.example", n), []string{fmt.Sprintf("10.0.0.%d", n)})
				for _, browser := range []bool{false, true} {
					answers := make(map[string]string)
					for kind, took := range took {
						endpoint := fmt.Sprintf("https://%s-%d.corp.example/201/an-endpoint", kind, n)
						d := device{AppID: "org.example.phone", Pushkey: endpoint}
						if browser {
							p256dh, auth := newKeys()
							d = device{AppID: "web.example", Pushkey: p256dh, Data: map[string]any{"endpoint": endpoint, "auth": auth}}
						}
						began := time.Now()
						r := l.gateway.homeserver().notify(alert(fmt.Sprintf("$%d-%s", n, kind), d))
						took.add(time.Since(began))
						answers[kind] = whole(r, d.Pushkey)
					}
					if answers["private"] != answers["nowhere"] {
						t.Fatalf("look %d, browser %t: a private name is answered\n%s\nand one that does not exist\n%s",
							n, browser, answers["private"], answers["nowhere"])
					}
				}
			}
			for kind, took := range took {
				t.Logf("%s: %v", kind, took)
			}
			medians := []time.Duration{took["private"].within(500), took["nowhere"].within(500)}
			if slices.Max(medians) > 3*slices.Min(medians)+10*time.Millisecond {
				t.Errorf("the answers take %v", medians)
			}
			l.wantNoPrivateConnection()
		})
	}
}
