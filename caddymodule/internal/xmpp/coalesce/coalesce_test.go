package coalesce_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/coalesce"
)

const window = 5 * time.Second

const (
	low = iota
	high
	call
)

// phone is a push service for one or more devices, and everything that was answered about them.
type phone struct {
	*coalesce.Coalescer[string, string]

	takes   time.Duration
	verdict func(push string) string

	mu      sync.Mutex
	began   time.Time
	pushed  []string // "1 at 0s"
	answers []string // "1: ok, coalesced at 0s"
}

// bubble runs a test with a phone in a bubble of time.
func bubble(t *testing.T, test func(t *testing.T, p *phone)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &phone{began: time.Now(), verdict: func(string) string { return "ok" }}
		p.Coalescer = coalesce.New(coalesce.Options[string, string]{
			Window: window, Deliver: p.deliver, AtOnce: call, Busy: "busy",
			Final: func(v string) bool { return v != "ok" },
		})
		test(t, p)
		p.Close(context.Background())
	})
}

func (p *phone) deliver(push string) string {
	p.mu.Lock()
	p.pushed = append(p.pushed, fmt.Sprintf("%s at %s", push, time.Since(p.began)))
	p.mu.Unlock()
	time.Sleep(p.takes)
	return p.verdict(push)
}

// offer offers a push for the device that its name begins with, such as "a1". Pushes that show the same wake the device.
func (p *phone) offer(name string, urgency uint8, shows string) {
	push := coalesce.Push[string, string]{Device: [16]byte{name[0]}, Urgency: urgency, Size: len(name), Value: name}
	copy(push.Shows[:], shows)
	push.Answer = func(verdict string, coalesced bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		how := ""
		if coalesced {
			how = ", coalesced"
		}
		p.answers = append(p.answers, fmt.Sprintf("%s: %s%s at %s", name, verdict, how, time.Since(p.began)))
	}
	p.Offer(push)
}

// wantPushed waits for d, and checks what was pushed so far.
func (p *phone) wantPushed(t *testing.T, d time.Duration, want ...string) {
	t.Helper()
	p.want(t, d, "pushed", &p.pushed, want)
}

// wantAnswered waits for d, and checks what was answered so far, in any order.
func (p *phone) wantAnswered(t *testing.T, d time.Duration, want ...string) {
	t.Helper()
	p.want(t, d, "answered", &p.answers, want)
}

func (p *phone) want(t *testing.T, d time.Duration, what string, of *[]string, want []string) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	p.mu.Lock()
	got := slices.Sorted(slices.Values(*of))
	p.mu.Unlock()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s %q, want %q", what, got, want)
	}
}

func TestX17_ABurstOf23PushesBecomesAtMostTwoAndTheLastOneWins(t *testing.T) {
	t.Parallel()
	burst := func(p *phone, shows func(i int) string) {
		for i := range 23 {
			p.offer(fmt.Sprint("a", i), high, shows(i))
			time.Sleep(54 * time.Millisecond / 23)
		}
	}
	bubble(t, func(t *testing.T, p *phone) {
		p.takes = 300 * time.Millisecond
		burst(p, func(i int) string { return fmt.Sprint("message ", i) })
		p.wantPushed(t, time.Minute, "a0 at 0s", "a22 at 5s")
		if len(p.answers) != 23 || slices.ContainsFunc(p.answers, func(a string) bool { return !strings.Contains(a, ": ok") }) {
			t.Errorf("answered %q", p.answers)
		}
	})
	bubble(t, func(t *testing.T, p *phone) { // Prosody's, which show nothing
		burst(p, func(int) string { return "" })
		p.wantPushed(t, time.Minute, "a0 at 0s")
		if len(p.answers) != 23 {
			t.Errorf("answered %q", p.answers)
		}
	})
}

func TestX18_TheSecondPushOfACallIsTheFirst(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.offer("a1", call, "")
		p.wantPushed(t, 0, "a1 at 0s")
		time.Sleep(time.Second)
		p.offer("a2", call, "")
		p.wantPushed(t, time.Minute, "a1 at 0s")
		p.wantAnswered(t, 0, "a1: ok at 0s", "a2: ok, coalesced at 1s")
	})
}

func TestAPushThatShowsTheSameLaterIsAnotherOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.offer("a1", high, "")
		time.Sleep(coalesce.Twin)
		p.offer("a2", high, "")
		p.wantPushed(t, time.Minute, "a1 at 0s", "a2 at 5s")
	})
}

func TestACallGoesOutAtOnceWhateverWentBefore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.offer("a1", low, "")
		p.offer("a2", high, "first")
		p.offer("a3", high, "second")
		p.offer("a4", call, "")
		p.offer("a5", low, "third") // less urgent than all that went out, and not the same
		p.wantPushed(t, time.Minute, "a1 at 0s", "a2 at 0s", "a4 at 0s", "a5 at 5s")
		p.wantAnswered(t, 0, "a1: ok at 0s", "a2: ok at 0s", "a3: ok, coalesced at 0s", "a4: ok at 0s", "a5: ok at 5s")
	})
}

func TestEachCallGoesOutAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.offer("a1", call, "first")
		p.offer("a2", high, "a message")
		p.offer("a3", call, "first")
		p.wantPushed(t, 0, "a1 at 0s")
		p.offer("a4", call, "second")
		p.wantPushed(t, time.Minute, "a1 at 0s", "a4 at 0s")
	})
}

func TestALessUrgentPushDoesNotReplaceTheHeldOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.offer("a1", high, "1")
		p.offer("a2", high, "2")
		p.offer("a3", low, "3")
		p.wantPushed(t, time.Minute, "a1 at 0s", "a2 at 5s")
		p.wantAnswered(t, 0, "a1: ok at 0s", "a2: ok at 5s", "a3: ok, coalesced at 5s")
	})
}

func TestAHeldPushBeginsTheNextWindow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		for i := range 12 {
			p.offer(fmt.Sprint("a", i), high, fmt.Sprint(i))
			time.Sleep(1100 * time.Millisecond)
		}
		p.wantPushed(t, time.Minute, "a0 at 0s", "a4 at 5s", "a9 at 10s", "a11 at 15s")
	})
}

func TestDevicesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.takes = 10 * time.Second
		for _, device := range "abc" {
			p.offer(string(device), high, "")
		}
		p.wantPushed(t, 0, "a at 0s", "b at 0s", "c at 0s")
	})
}

// A dead device's pushes must be answered by the store of rejections: an answer that claims success would keep its registration.
func TestAVerdictThatIsFinalEndsTheWindow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.takes, p.verdict = time.Second, func(push string) string {
			if push == "a5" {
				return "ok"
			}
			return "dead"
		}
		p.offer("a1", high, "")
		p.offer("a2", high, "") // a twin shares the verdict
		p.offer("a3", high, "3")
		p.offer("a4", high, "4")
		p.wantAnswered(t, time.Second, "a1: dead at 1s", "a2: dead, coalesced at 1s")
		p.wantPushed(t, 0, "a1 at 0s", "a4 at 1s")
		p.wantAnswered(t, time.Second, "a1: dead at 1s", "a2: dead, coalesced at 1s", "a3: dead, coalesced at 2s", "a4: dead at 2s")
		p.offer("a5", high, "")
		p.wantPushed(t, 0, "a1 at 0s", "a4 at 1s", "a5 at 2s")
	})
}

func TestWithoutAWindowEveryPushGoesOut(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.Window = 0
		p.offer("a1", high, "")
		p.offer("a2", high, "")
		p.wantPushed(t, time.Minute, "a1 at 0s", "a2 at 0s")
	})
}

func TestCloseSendsWhatIsHeldAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.takes = time.Second
		for _, device := range []string{"a", "b"} {
			p.offer(device+"1", high, "1")
			p.offer(device+"2", high, "2")
		}
		p.Close(t.Context())
		p.wantPushed(t, 0, "a1 at 0s", "a2 at 0s", "b1 at 0s", "b2 at 0s")
		p.wantAnswered(t, 0, "a1: ok at 1s", "a2: ok at 1s", "b1: ok at 1s", "b2: ok at 1s")
		p.offer("a3", high, "3")
		p.wantPushed(t, time.Minute, "a1 at 0s", "a2 at 0s", "b1 at 0s", "b2 at 0s")
	})
}

func TestCloseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.takes = time.Minute
		p.offer("a1", high, "1")
		p.offer("a2", high, "2")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.Close(ctx)
		if took := time.Since(p.began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
	bubble(t, func(t *testing.T, p *phone) {
		p.offer("a1", high, "1")
		p.offer("a2", high, "2")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.Close(ctx)
		p.wantAnswered(t, 0, "a1: ok at 0s", "a2: busy at 0s")
	})
}

func TestAFloodStaysInItsBounds(t *testing.T) {
	t.Parallel()
	const (
		maxOnTheirWay = 512
		maxAnswers    = 64
		maxHeld       = 8 << 20
	)
	bubble(t, func(t *testing.T, p *phone) { // of devices
		p.takes = time.Second
		answers := flood(p, maxOnTheirWay+100, func(i int, push *coalesce.Push[string, string]) {
			binary.BigEndian.PutUint64(push.Device[:], uint64(i))
			push.Sender[0] = byte(i % 3)
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := answers("ok"); got != maxOnTheirWay {
			t.Errorf("%d pushes went out", got)
		}
		if got := answers("busy"); got != 100 {
			t.Errorf("%d pushes were answered as busy", got)
		}
	})
	bubble(t, func(t *testing.T, p *phone) { // of pushes for a device
		answers := flood(p, 1000, func(i int, push *coalesce.Push[string, string]) {
			binary.BigEndian.PutUint64(push.Shows[:], uint64(i))
		})
		time.Sleep(window)
		synctest.Wait()
		if ok, busy := answers("ok"), answers("busy"); ok != 1+1+maxAnswers || busy != 1000-ok {
			t.Errorf("%d pushes were answered ok, and %d as busy", ok, busy)
		}
		p.wantPushed(t, 0, " at 0s", " at 5s")
	})
	bubble(t, func(t *testing.T, p *phone) { // of bytes: there is room to hold four pushes
		answers := flood(p, 10, func(i int, push *coalesce.Push[string, string]) {
			push.Device[0], push.Shows[0], push.Size = byte(i/2), byte(i%2), maxHeld/4
		})
		synctest.Wait()
		if got := answers("ok"); got != 6 {
			t.Errorf("%d pushes went out at once, want 6: 5 are the first of their devices", got)
		}
		time.Sleep(window)
		synctest.Wait()
		if got := answers("ok"); got != 10 {
			t.Errorf("%d pushes went out", got)
		}
	})
}

func TestOneSenderCannotTakeAllTheRoom(t *testing.T) {
	t.Parallel()
	const maxOfSender = 256
	bubble(t, func(t *testing.T, p *phone) {
		p.takes = time.Second
		for range 2 { // the second time, all the room is free again
			sent := 0
			from := func(sender byte) func(int, *coalesce.Push[string, string]) {
				return func(_ int, push *coalesce.Push[string, string]) {
					sent++
					binary.BigEndian.PutUint64(push.Device[:], uint64(sent))
					push.Sender[0] = sender
				}
			}
			many, few := flood(p, 1000, from('a')), flood(p, maxOfSender, from('b'))
			time.Sleep(time.Minute)
			synctest.Wait()
			if many, few := many("ok"), few("ok"); many != maxOfSender || few != maxOfSender {
				t.Errorf("%d pushes of the sender of many went out, and %d of the other's", many, few)
			}
		}
	})
}

func TestAnswersThatWaitCountAsHeld(t *testing.T) {
	t.Parallel()
	const maxHeld = 8 << 20
	for _, tt := range []struct {
		name       string
		shows      byte
		out, given int // how many pushes go out at once, and how many answers are not busy
	}{
		{"twins of a push on its way", 0, 1, 1 + 8},
		{"replaced pushes", 1, 1 + 20 - 9, 20}, // of which eight are held, and the next ones go out at once
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, p *phone) {
				p.takes = time.Second
				for range 2 { // the second time, all the room is free again
					p.pushed = nil
					answers := flood(p, 20, func(i int, push *coalesce.Push[string, string]) {
						push.Shows[0], push.Size, push.AnswerSize = byte(i)*tt.shows, maxHeld/8, maxHeld/8
					})
					time.Sleep(time.Minute)
					synctest.Wait()
					if out, given := len(p.pushed), answers("ok"); out != tt.out || given != tt.given {
						t.Errorf("%d pushes went out, and %d got a verdict, want %d and %d", out, given, tt.out, tt.given)
					}
				}
			})
		})
	}
}

// flood offers n pushes at once, and returns how many were answered with a verdict.
func flood(p *phone, n int, each func(i int, push *coalesce.Push[string, string])) (answers func(verdict string) int) {
	var mu sync.Mutex
	count := make(map[string]int)
	for i := range n {
		push := coalesce.Push[string, string]{Answer: func(verdict string, _ bool) {
			mu.Lock()
			defer mu.Unlock()
			count[verdict]++
		}}
		each(i, &push)
		p.Offer(push)
	}
	return func(verdict string) int {
		mu.Lock()
		defer mu.Unlock()
		return count[verdict]
	}
}

func TestEachPushIsAnsweredOnceWhateverHappensAtTheSameTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, p *phone) {
		p.takes = 30 * time.Millisecond
		p.verdict = func(push string) string {
			if strings.HasSuffix(push, "7") {
				return "dead"
			}
			return "ok"
		}
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for i := range 200 {
					p.offer(fmt.Sprintf("%c%d of %d", 'a'+i%3, i, worker), uint8(i%3), fmt.Sprint(i%5))
					time.Sleep(time.Duration(i*worker%7) * 10 * time.Millisecond)
				}
			})
		}
		group.Wait()
		p.Close(t.Context())
		names := make(map[string]int)
		for _, a := range p.answers {
			name, _, _ := strings.Cut(a, ":")
			names[name]++
		}
		if len(p.answers) != 1600 || len(names) != 1600 {
			t.Errorf("%d answers about %d pushes", len(p.answers), len(names))
		}
	})
}
