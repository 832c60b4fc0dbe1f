package doctor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	probeUser  = "@alice:hs.test"
	probeOther = "@bob:hs.test"
)

// newProbing returns a run for the user's account. It waits for a notification only if one will come.
func newProbing(t *testing.T, h *probeHomeserver, g *probeGateways, comes bool) *probing {
	t.Helper()
	p := &probing{
		user: h.user(t, probeUser), userID: probeUser, gates: g, transport: g.Client().Transport, tell: func(string) {},
		patience: time.Millisecond, poll: time.Millisecond,
	}
	if comes {
		p.patience = 30 * time.Second
	}
	return p
}

func TestAProbeIsReachedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lead, at string
		place    Place
	}{
		{"this", "this", Here},
		{"group", "this", Group},
		{"this", "this", Here},
		{"group", "group", Group}, // only the answer to doctor's request shows it
		{"nobody", "this", Nowhere},
		{"server", "this", Nowhere},
	} {
		t.Run(tt.lead+" "+tt.at, func(t *testing.T) {
			t.Parallel()
			h, g := newProbeHomeserver(t), newProbeGateways(t, tt.lead)
			h.notify = func(address, pushkey string) {
				if address == g.URL {
					g.arrives(tt.at, pushkey)
				}
			}
			p := newProbing(t, h, g, true)
			left, err := p.run(t.Context(), []string{g.URL})
			if err != nil || left != nil {
				t.Fatalf("left is %q: %v", left, err)
			}
			r := p.reaches[0]
			if r.Place != tt.place || (r.Why == "") != (tt.place != Nowhere) || r.Homeserver == nil || r.Homeserver.From != "203.0.113.7" {
				t.Errorf("the result is %+v", r)
			}
			h.wantClean(t)
			if want := []string{"set", "createRoom", "send", "receipt", "set", "leave", "forget"}; !slices.Equal(h.steps, want) {
				t.Errorf("the homeserver was asked for %q, want %q", h.steps, want)
			}
		})
	}
}

func TestAProbeThatDoesNotArriveIsNotReached(t *testing.T) {
	t.Parallel()
	h, g := newProbeHomeserver(t), newProbeGateways(t, "this")
	p := newProbing(t, h, g, false)
	if left, err := p.run(t.Context(), []string{g.URL}); err != nil || left != nil || p.reaches[0].Homeserver != nil || p.reaches[0].Place != Here {
		t.Errorf("the result is %+v, left is %q: %v", p.reaches[0], left, err)
	}
	h.wantClean(t)
}

// hangingLater answers a number of requests, and then none.
type hangingLater struct {
	http.RoundTripper
	answered atomic.Int32
}

func (h *hangingLater) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.answered.Add(-1) >= 0 {
		return h.RoundTripper.RoundTrip(r)
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAGatewayThatStopsAnsweringDoesNotProlongTheProbe(t *testing.T) {
	t.Parallel()
	h, g := newProbeHomeserver(t), newProbeGateways(t, "group")
	p := newProbing(t, h, g, false)
	p.patience = 100 * time.Millisecond
	hanging := &hangingLater{RoundTripper: p.transport}
	hanging.answered.Store(2) // one for each URL
	p.transport = hanging
	began := time.Now()
	if left, err := p.run(t.Context(), []string{g.URL, g.URL + "/"}); err != nil || left != nil {
		t.Errorf("left is %q: %v", left, err)
	}
	if took := time.Since(began); took >= probeTime/2 || hanging.answered.Load() >= 0 {
		t.Errorf("it took %s, and %d answers are left", took, hanging.answered.Load())
	}
	h.wantClean(t)
}

func TestNoPusherIsRegisteredForAnotherGateway(t *testing.T) {
	t.Parallel()
	h, g := newProbeHomeserver(t), newProbeGateways(t, "stranger")
	p := newProbing(t, h, g, false)
	if left, err := p.run(t.Context(), []string{g.URL}); err != nil || left != nil || p.reaches[0].Place != Elsewhere {
		t.Errorf("the result is %+v, left is %q: %v", p.reaches[0], left, err)
	}
	if len(h.steps) > 0 {
		t.Errorf("the homeserver was asked for %q", h.steps)
	}
}

func TestASecondAccountInvitesAndWrites(t *testing.T) {
	t.Parallel()
	h, g := newProbeHomeserver(t), newProbeGateways(t, "this")
	h.notify = func(_, pushkey string) { g.arrives("this", pushkey) }
	p := newProbing(t, h, g, true)
	p.other = h.user(t, probeOther)
	left, err := p.run(t.Context(), []string{g.URL})
	if err != nil || left != nil || p.reaches[0].Homeserver == nil {
		t.Fatalf("left is %q: %v", left, err)
	}
	h.wantClean(t)
	if want := []string{"set", "createRoom", "join", "send", "set", "leave", "forget", "leave", "forget"}; !slices.Equal(h.steps, want) {
		t.Errorf("the homeserver was asked for %q, want %q", h.steps, want)
	}
}

// Whatever step fails, before or after the homeserver has done it, all that was made is removed.
func TestAProbeThatFailsAtAnyStepRemovesWhatItMade(t *testing.T) {
	t.Parallel()
	for _, handled := range []bool{false, true} {
		for _, failing := range []string{"set", "createRoom", "send", "receipt", "join"} {
			t.Run(failing+map[bool]string{false: " is refused", true: " is not answered"}[handled], func(t *testing.T) {
				t.Parallel()
				h, g := newProbeHomeserver(t), newProbeGateways(t, "this")
				p := newProbing(t, h, g, false)
				if failing == "join" {
					p.other = h.user(t, probeOther)
				}
				failed := false
				h.fails = func(name string, done bool) bool { // once
					fails := name == failing && done == handled && !failed
					failed = failed || fails
					return fails
				}
				left, err := p.run(t.Context(), []string{g.URL})
				if err == nil || strings.Contains(err.Error(), probeUser) {
					t.Errorf("the error is %v", err)
				}
				if failing == "createRoom" && handled { // nobody knows the room
					if len(left) != 1 || !strings.Contains(left[0].what, probeRoom) {
						t.Errorf("left is %q", left)
					}
					clear(h.members)
				} else if left != nil {
					t.Errorf("left is %q", left)
				}
				h.wantClean(t)
			})
		}
	}
}

func TestTheRemovalIsTriedAgainAndWhatIsLeftIsNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		step string
		// times is how often the step fails.
		times int
		want  string
	}{
		{"set", 2, ""},
		{"leave", 2, ""},
		{"forget", 2, ""},
		{"set", 3, "the pusher with the app_id org.matrix-push.doctor"},
		{"leave", 3, "the room !room0:hs.test"},
		{"forget", 3, "the room !room0:hs.test"},
	} {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			h, g := newProbeHomeserver(t), newProbeGateways(t, "this")
			p := newProbing(t, h, g, false)
			read, failed := false, 0
			h.fails = func(name string, handled bool) bool {
				read = read || name == "receipt"
				if !read || handled || name != tt.step || failed == tt.times {
					return false
				}
				failed++
				return true
			}
			left, err := p.run(t.Context(), []string{g.URL})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if left != nil {
					t.Errorf("left is %q", left)
				}
				h.wantClean(t)
			} else if len(left) != 1 || !strings.HasPrefix(left[0].what, tt.want) || strings.Contains(left[0].what, "nonce") {
				t.Errorf("left is %q, want %q", left, tt.want)
			}
		})
	}
}

// A user may interrupt at any moment, also while the homeserver is doing something.
func TestAProbeThatIsInterruptedAtAnyStepRemovesWhatItMade(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"set", "createRoom", "send", "receipt"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			h, g := newProbeHomeserver(t), newProbeGateways(t, "this")
			p := newProbing(t, h, g, true)
			ctx, interrupt := context.WithCancel(t.Context())
			h.fails = func(name string, handled bool) bool {
				if name == at && !handled {
					interrupt()
				}
				return false
			}
			left, err := p.run(ctx, []string{g.URL})
			if !errors.Is(err, errInterrupted) || left != nil {
				t.Errorf("left is %q: %v", left, err)
			}
			h.wantClean(t)
		})
	}
}
