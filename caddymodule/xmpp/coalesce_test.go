package xmpp

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// burst sends stanzas, and returns the answers by their number.
func (r *rig) burst(stanzas ...string) map[string]int {
	for _, s := range stanzas {
		r.Handle(r.Context(), []byte(s), r.reply)
	}
	answers := make(map[string]int)
	for range stanzas {
		answers[(<-r.answers).Verdict()]++
	}
	return answers
}

func TestX17_ABurstIsAtMostTwoPushesAndEachIsAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.pushes.SetWindow(5 * time.Second)
		var stanzas []string
		for i := range 23 {
			body := ""
			if i > 10 {
				body = "New Message!"
			}
			stanzas = append(stanzas, publishing{node: "t", body: body}.String())
		}
		if answers := r.burst(stanzas...); answers["result"] != 23 {
			t.Errorf("the answers are %v", answers)
		}
		synctest.Wait()
		if n := len(r.engine.all()); n > 2 {
			t.Errorf("there are %d pushes", n)
		}
	})
}

func TestX18_ACallThatIsSentTwiceRingsOnceAndAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.pushes.SetWindow(5 * time.Second)
		began := time.Now()
		call := publishing{node: "t", body: "New Message!"}.String()
		r.burst(call)
		time.Sleep(time.Second)
		r.burst(call)
		if took := time.Since(began); took != time.Second || len(r.engine.all()) != 1 {
			t.Errorf("after %v, there are %d pushes", took, len(r.engine.all()))
		}
		// Two accounts on one device are two registrations.
		one, secret := register(r, "fcm")
		r.burst(publishing{node: one, secret: secret, body: "x"}.String())
		e := r.ask(strings.ReplaceAll(registration("fcm"), "alice@", "bob@"))
		two, secret := nodeOf(e)
		r.burst(publishing{node: two, secret: secret, body: "x"}.String())
		if n := len(r.engine.all()); n != 3 {
			t.Errorf("with two more accounts, there are %d pushes", n)
		}
	})
}
