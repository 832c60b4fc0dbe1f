package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// reducing is a provider that needs only IDs, and counts the calls of Reduce.
type reducing struct {
	*scripted
	asked *int
}

func (p reducing) Reduce(n *providers.Notification) *providers.Notification {
	*p.asked++
	r := n.Reduced()
	if members := n.Members(); members != nil {
		r.Prepared = fmt.Appendf(nil, "%d", len(members))
	}
	return r
}

// inUse reports whether any request holds bytes.
func (s *Shared) inUse() bool {
	if !s.inHand.common.TryAcquire(maxInHand - reserveInHand) {
		return true
	}
	s.inHand.common.Release(maxInHand - reserveInHand)
	if !s.inHand.reserve.TryAcquire(reserveInHand) {
		return true
	}
	s.inHand.reserve.Release(reserveInHand)
	return false
}

func TestWhatAllRequestsHaveInHandIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{100, 5_000, 60_000, 250_000, maxInHand} {
		s := NewShared()
		var hands []*Hand
		total := int64(0)
		for {
			h := s.Hand()
			hands = append(hands, h)
			if !h.Grow(size) {
				break
			}
			if total += size; total > 2*maxInHand {
				t.Fatalf("requests of %d bytes are taken without end", size)
			}
		}
		if least := int64(maxInHand - reserveInHand - 250_000); total < least {
			t.Errorf("requests of %d bytes: only %d bytes are taken", size, total)
		}
		if small := size <= smallInHand; (total > maxInHand-reserveInHand) != (small || size == maxInHand) {
			t.Errorf("requests of %d bytes have %d bytes in hand", size, total)
		}
		for _, h := range hands {
			h.Close()
		}
		if s.inUse() {
			t.Errorf("requests of %d bytes: not all is given back", size)
		}
	}
}

func TestLargeRequestsLeaveRoomForSmallOnes(t *testing.T) {
	t.Parallel()
	s := NewShared()
	s.Hand().Grow(maxInHand - reserveInHand)
	h := s.Hand()
	if !h.ForBody(1000) || !h.Grow(1000) {
		t.Error("there is no room for a small request")
	}
	if h.Grow(smallInHand) {
		t.Error("there is room for one that grows large")
	}
}

func TestARequestThatIsLargerThanAllRoomIsServedByItself(t *testing.T) {
	t.Parallel()
	s := NewShared()
	other := s.Hand()
	other.Grow(1)
	h := s.Hand()
	if h.Grow(2 * maxInHand) {
		t.Error("it is served beside another one")
	}
	other.Close()
	if !h.Grow(2*maxInHand) || !h.Grow(maxInHand) {
		t.Error("it is not served by itself")
	}
	if s.Hand().Grow(100_000) {
		t.Error("there is room beside it")
	}
	h.Close()
	if s.inUse() {
		t.Error("not all is given back")
	}
}

// large returns a request with a large content.
func large(t *testing.T, s *Shared, devices int) *Request {
	t.Helper()
	list := make([]string, devices)
	for i := range list {
		list[i] = device(fmt.Sprint("key", i))
	}
	r := mustDecode(t, `{"notification":{"event_id":"$e","content":{"body":"`+strings.Repeat("x", 200_000)+`"},"devices":[`+strings.Join(list, ",")+`]}}`)
	r.Hand = s.Hand()
	return r
}

func TestARequestIsTurnedDownAsAWholeWhereThereIsNoRoomForItsDevices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		app := appFor("app", p) // reduces nothing: each of its devices may take all of it
		app.Content = providers.ContentFull
		r := newRig(t, app)
		taken := r.Shared.Hand()
		taken.Grow(10 << 20)
		if got := line(r.Notify(large(t, r.Shared, 99), providers.Site{}, everything)); got != "503 after 5s" {
			t.Errorf("answered %s", got)
		}
		wantPushes(t, p, 0)
		taken.Close()
		if got := line(r.Notify(large(t, r.Shared, 99), providers.Site{}, everything)); got != "[]" {
			t.Errorf("answered %s", got)
		}
	})
}

// A flight that outlasts its request holds on to the request's body, unless the provider has reduced it.
func TestWhatAFlightHoldsOnToIsInHandUntilItLands(t *testing.T) {
	t.Parallel()
	for _, reduces := range []bool{false, true} {
		t.Run(fmt.Sprint("reduced: ", reduces), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := after(20*time.Second, providers.Delivered())
				app := appFor("app", p)
				if reduces {
					app.Provider = reducing{p, new(int)}
				}
				app.Content = providers.ContentFull
				r := newRig(t, app).withOutbox()
				request := large(t, r.Shared, 3)
				r.Notify(request, providers.Site{}, everything)
				if !r.Shared.inUse() {
					t.Error("a request that is being answered has nothing in hand")
				}
				request.Hand.Close()
				if r.Shared.inUse() == reduces {
					t.Errorf("once it is answered: in hand: %v", r.Shared.inUse())
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if r.Shared.inUse() {
					t.Error("not all is given back")
				}
			})
		})
	}
}
