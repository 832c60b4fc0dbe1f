package apnstest_test

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

func TestAPNsRefusesStreamsAboveTheLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []uint32{1, 100} {
		t.Run(strconv.Itoa(int(limit)), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *apnstest.Options) { o.MaxConcurrentStreams = limit })
			until := make(chan struct{})
			f.Answer("", apnstest.Answer{Until: until, Times: -1})
			r, announced := newRaw(t, f)
			if announced != limit {
				t.Errorf("the limit is %d", announced)
			}
			for range limit {
				r.push(f.bearer)
			}
			above := r.push(f.bearer)
			if reset := next[*http2.RSTStreamFrame](r); reset.StreamID != above || reset.ErrCode != http2.ErrCodeRefusedStream {
				t.Errorf("the reset is %v", reset)
			}
			close(until)
			for range limit {
				if status := next[*http2.MetaHeadersFrame](r).PseudoValue("status"); status != "200" {
					t.Errorf("the status is %s", status)
				}
			}
			if status := r.answer(r.push(f.bearer)); status != 200 {
				t.Errorf("the status is %d", status)
			}
			if v := f.Violations(); f.Refused() != 1 || len(v) != 1 || !strings.Contains(v[0], "are allowed") {
				t.Errorf("%d refused, violations: %q", f.Refused(), v)
			}
			if len(f.Pushes()) != int(limit)+1 || f.MaxStreams() != int(limit) {
				t.Errorf("%d pushes, %d streams", len(f.Pushes()), f.MaxStreams())
			}
		})
	}
}

func TestAPNsServesAnOrdinaryClientWhateverTheLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []uint32{1, 100} {
		t.Run(strconv.Itoa(int(limit)), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *apnstest.Options) { o.MaxConcurrentStreams = limit })
			var senders sync.WaitGroup
			for range 50 {
				senders.Go(func() {
					for range 4 {
						if answer, err := f.do(t, f.request(t)); err != nil || answer.status != 200 {
							t.Errorf("the answer is %+v, %v", answer, err)
						}
					}
				})
			}
			senders.Wait()
			if n := len(f.Pushes()); n != 200 {
				t.Errorf("%d pushes were taken", n)
			}
		})
	}
}

func TestAPNsAllowsOneStreamUntilAValidProviderToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *apnstest.Options) { o.OneUntilAuthenticated, o.MaxConcurrentStreams = true, 500 })
	r, limit := newRaw(t, f)
	if limit != 1 {
		t.Errorf("the limit is %d", limit)
	}
	f.SetMaxConcurrentStreams(600) // for when it is authenticated
	if status := r.answer(r.push("no token")); status != 403 {
		t.Errorf("the status is %d", status)
	}
	next[*http2.DataFrame](r)
	id := r.push(f.bearer)
	if limit := r.limit(); limit != 600 {
		t.Errorf("the limit is %d", limit)
	}
	if status := r.answer(id); status != 200 {
		t.Errorf("the status is %d", status)
	}
	if status := r.answer(r.push(f.bearer)); status != 200 { // and no further settings
		t.Errorf("the status is %d", status)
	}
}

func TestAPNsAnnouncesAnotherLimitAndWaitsForItsAcknowledgement(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer("", apnstest.Answer{Hang: true, Times: -1})
	r, limit := newRaw(t, f)
	if limit != 1000 {
		t.Errorf("the limit is %d", limit)
	}
	r.push(f.bearer)
	set := make(chan struct{})
	go func() {
		defer close(set)
		f.SetMaxConcurrentStreams(2)
	}()
	if limit := r.limit(); limit != 2 {
		t.Errorf("the limit is %d", limit)
	}
	r.push(f.bearer)
	r.push(f.bearer)
	await(t, f, "three streams, while nothing is acknowledged", func() bool { return f.Streams() == 3 })
	select {
	case <-set:
		t.Error("it did not wait")
	default:
	}
	r.write(r.framer.WriteSettingsAck())
	<-set
	fourth := r.push(f.bearer)
	if reset := next[*http2.RSTStreamFrame](r); reset.StreamID != fourth {
		t.Errorf("the reset is %v", reset)
	}
	if _, limit := newRaw(t, f); limit != 2 {
		t.Errorf("a new connection has the limit %d", limit)
	}
}

func TestAPNsFinishesWhatArrivedBeforeGoAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	until := make(chan struct{})
	f.Answer("", apnstest.Answer{Until: until})
	r, _ := newRaw(t, f)
	first := r.push(f.bearer)
	await(t, f, "one stream", func() bool { return f.Streams() == 1 })
	f.GoAway()
	if away := next[*http2.GoAwayFrame](r); away.LastStreamID != first || away.ErrCode != http2.ErrCodeNo {
		t.Errorf("the GOAWAY is %v", away)
	}
	r.push(f.bearer)
	r.write(r.framer.WritePing(false, [8]byte{1}))
	if ping := next[*http2.PingFrame](r); !ping.IsAck() {
		t.Error("the ping is not answered")
	}
	close(until)
	if status := r.answer(first); status != 200 {
		t.Errorf("the status is %d", status)
	}
	if frame, err := r.framer.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is not closed: %v, %v", frame, err)
	}
	if len(f.Pushes()) != 1 || len(f.Requests()) != 1 {
		t.Errorf("%d pushes of %d requests", len(f.Pushes()), len(f.Requests()))
	}
}

func TestAPNsGoAwayLosesNothingOfAnOrdinaryClients(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.expect(t, f.request(t), 200, "")
	var senders sync.WaitGroup
	for range 10 {
		senders.Go(func() {
			for i := range 20 {
				if i == 10 {
					f.GoAway()
				}
				if answer, err := f.do(t, f.request(t)); err != nil || answer.status != 200 {
					t.Errorf("the answer is %+v, %v", answer, err)
				}
			}
		})
	}
	senders.Wait()
	if n := len(f.Pushes()); n != 201 {
		t.Errorf("%d pushes were taken", n)
	}
}

func TestAPNsKeepsToTheClientsWindows(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer("", apnstest.Answer{Status: 502, Body: strings.Repeat("b", 100000)})
	r, _ := newRaw(t, f)
	id := r.push(f.bearer)
	if status := r.answer(id); status != 502 {
		t.Errorf("the status is %d", status)
	}
	received := func(n int) (ended bool) {
		for got := 0; got < n; {
			f := next[*http2.DataFrame](r)
			got += len(f.Data())
			ended = f.StreamEnded()
		}
		return ended
	}
	if received(65535) {
		t.Error("the answer ended early")
	}
	r.write(r.framer.WritePing(false, [8]byte{1}))
	next[*http2.PingFrame](r) // and no data
	r.write(r.framer.WriteWindowUpdate(0, 100000))
	r.write(r.framer.WriteWindowUpdate(id, 100000))
	if !received(100000 - 65535) {
		t.Error("the answer did not end")
	}
}

func TestAPNsNotesABrokenRuleOfHTTP2(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r, _ := newRaw(t, f)
	r.next = 2 // a stream of the server's
	r.push(f.bearer)
	if away := next[*http2.GoAwayFrame](r); away.ErrCode != http2.ErrCodeProtocol {
		t.Errorf("the GOAWAY is %v", away)
	}
	await(t, f, "no connection", func() bool { return f.Open() == 0 })
	if v := f.Violations(); len(v) != 1 || !strings.Contains(v[0], "HTTP/2") {
		t.Errorf("the violations are %q", v)
	}
}
