package xmpp

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"runtime"
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

func TestTheNewestCountOfABurstIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.pushes.SetWindow(5 * time.Second)
		for count := range 5 {
			const body = "<field var='last-message-body'>"
			field := fmt.Sprintf("<field var='message-count'><value>%d</value></field>", count+1)
			p := strings.Replace(publishing{node: "t", body: "New Message!"}.String(), body, field+body, 1)
			r.Handle(t.Context(), []byte(p), r.reply)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		pushes := r.engine.all()
		if len(pushes) != 2 || pushes[1].notification.Counts.Unread == nil || *pushes[1].notification.Counts.Unread != 5 {
			t.Errorf("there are %d pushes, and the last one doesn't have the newest count", len(pushes))
		}
	})
}

func TestACallOfPush2IsSentAtOnceAndOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.pushes.SetWindow(time.Hour)
		wake := func(more string) string {
			p := push2{client: "https://up.example.com/abc", more: more}.String()
			begin, rest, _ := strings.Cut(p, "<encrypted")
			_, end, _ := strings.Cut(rest, "</encrypted>")
			return begin + end
		}
		for i, want := range []int{1, 2, 2, 2} { // a message, a call, the same call again, and a message, which is held
			r.Handle(t.Context(), []byte(wake([]string{"", "<voip/>", "<voip/>", ""}[i])), r.reply)
			synctest.Wait()
			if got := len(r.engine.all()); got != want {
				t.Errorf("after push %d, %d went out, want %d", i, got, want)
			}
		}
		r.pushes.Close(t.Context())
		if got := len(r.engine.all()); got != 3 {
			t.Errorf("in the end, %d went out: the message after the call is lost", got)
		}
	})
}

// It is not parallel, because it measures memory.
func TestAnAnswerThatWaitsKeepsNothingOfItsPush(t *testing.T) {
	r := newRig(t)
	r.pushes.SetWindow(time.Hour)
	const n, size = 50, 60 << 10
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n {
		r.Handle(t.Context(), []byte(publishing{node: "t", module: "full", body: rand.Text() + strings.Repeat("x", size)}.String()), r.reply)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > n*size/2 {
		t.Errorf("%d pushes of %d bytes, of which one is held, take %d bytes", n, size, grown)
	}
}

func TestWhatTheConfigurationAddsToAHeldPushCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.pushes.SetWindow(time.Hour)
		const n, size = 200, 64 << 10 // there is room to hold 128
		more, _ := json.Marshal(strings.Repeat("x", size))
		r.service.modules["full"].payload = object{"more": more}
		for i := range n {
			for _, body := range []string{"goes out", "is held"} {
				r.Handle(t.Context(), []byte(publishing{node: fmt.Sprint("t", i), module: "full", body: body}.String()), r.reply)
			}
			synctest.Wait()
		}
		if got := len(r.engine.all()); got < n+n-128 {
			t.Errorf("%d pushes went out, so %d are held", got, 2*n-got)
		}
	})
}

// Payloads of Push 2.0 are bytes, and need not be UTF-8.
func TestTextsThatDifferInAnyByteOrPlaceHaveDifferentHashes(t *testing.T) {
	t.Parallel()
	seen := make(map[[16]byte][]string)
	for _, texts := range [][]string{{"\xff"}, {"\xfe"}, {"\ufffd"}, {"a", "b"}, {"ab"}, {"ab", ""}, {"", "ab"}, {"1:a"}, {"1", "a"}} {
		h := hash(texts...)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same hash", texts, other)
		}
		seen[h] = texts
	}
}
