package apnstest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

func TestAPNsAnswersAsProgrammedAndThen200(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer(strings.ToUpper(deviceToken),
		apnstest.Answer{Reason: "TooManyRequests", Header: http.Header{"Retry-After": {"7"}}, Times: 2},
		apnstest.Answer{Status: 502, Body: "<html>Bad Gateway</html>"},
		apnstest.Answer{Status: 400, Reason: "Novel"},
		apnstest.Answer{},
	)
	for range 2 {
		if answer := f.expect(t, f.request(t), 429, "TooManyRequests"); answer.header.Get("Retry-After") != "7" {
			t.Errorf("the headers are %v", answer.header)
		}
	}
	if answer := f.expect(t, f.request(t), 502, ""); answer.body != "<html>Bad Gateway</html>" {
		t.Errorf("the body is %q", answer.body)
	}
	f.expect(t, f.request(t), 400, "Novel")
	f.expect(t, f.request(t), 200, "")
	f.expect(t, f.request(t), 200, "")
	if len(f.Pushes()) != 2 || len(f.Requests()) != 6 || len(f.Violations()) != 0 {
		t.Errorf("%d pushes of %d requests, violations: %q", len(f.Pushes()), len(f.Requests()), f.Violations())
	}
}

func TestAPNsGivesReasonsTheirStatus(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for reason, status := range map[string]int{
		"BadDeviceToken": 400, "DeviceTokenNotForTopic": 400, "IdleTimeout": 400, "Forbidden": 403, "Unregistered": 410,
		"ExpiredToken": 410, "PayloadTooLarge": 413, "TooManyRequests": 429, "InternalServerError": 500, "ServiceUnavailable": 503,
		"Shutdown": 503,
	} {
		f.Answer("", apnstest.Answer{Reason: reason})
		answer := f.expect(t, f.request(t), status, reason)
		if want := noon.UnixMilli(); (status == 410) != (answer.timestamp == want) {
			t.Errorf("%s has the timestamp %d", reason, answer.timestamp)
		}
	}
}

func TestAPNsAnswersForATokenThenItsEndThenForAll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer("", apnstest.Answer{Reason: "InternalServerError", Times: -1})
	f.Answer(deviceToken, apnstest.Answer{Reason: "BadDeviceToken"})
	ended := noon.Add(-time.Hour)
	f.Unregister(deviceToken, ended)

	f.expect(t, f.request(t), 400, "BadDeviceToken")
	for range 2 {
		if answer := f.expect(t, f.request(t), 410, "Unregistered"); answer.timestamp != ended.UnixMilli() {
			t.Errorf("the timestamp is %d", answer.timestamp)
		}
	}
	f.Unregister(deviceToken, time.Time{})
	for range 3 {
		f.expect(t, f.request(t), 500, "InternalServerError")
	}
	f.Answer("")
	f.expect(t, f.request(t), 200, "")
}

func TestAPNsHoldsAPushUntilItIsLetGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	until := make(chan struct{})
	f.Answer("", apnstest.Answer{Until: until})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if answer, err := f.do(t, f.request(t)); err != nil || answer.status != 200 {
			t.Errorf("the answer is %+v, %v", answer, err)
		}
	}()
	await(t, f, "a push is held", func() bool { return f.Held() == 1 })
	if len(f.Pushes()) != 0 || len(f.Requests()) != 0 {
		t.Error("it is recorded before it is answered")
	}
	close(until)
	<-answered
	if len(f.Pushes()) != 1 {
		t.Errorf("%d pushes were taken", len(f.Pushes()))
	}
}

// await waits for a state of the fake.
func await(t *testing.T, f fixture, state string, condition func() bool) {
	t.Helper()
	if err := f.Await(t.Context(), condition); err != nil {
		t.Fatalf("%s: %v", state, err)
	}
}

func TestAPNsHangsUntilTheClientTakesThePushBack(t *testing.T) {
	t.Parallel()
	for _, take := range []bool{false, true} {
		f := newFixture(t)
		f.Answer("", apnstest.Answer{Hang: true, Take: take})
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error)
		go func() {
			_, err := f.do(t, f.request(t).WithContext(ctx))
			answered <- err
		}()
		await(t, f, "a push is held", func() bool { return f.Held() == 1 })
		cancel()
		if err := <-answered; err == nil {
			t.Error("there was an answer")
		}
		await(t, f, "no stream", func() bool { return f.Streams() == 0 })
		if r := f.Requests(); len(r) != 1 || r[0].Status != 0 || len(r[0].Violations) != 0 {
			t.Errorf("the requests are %+v", r)
		}
		if taken := len(f.Pushes()) == 1; taken != take {
			t.Errorf("taken: %v, want %v", taken, take)
		}
		f.expect(t, f.request(t), 200, "")
		if n := f.Connections(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	}
}

func TestAPNsLetsGoOfAHungPushWhenItCloses(t *testing.T) {
	t.Parallel()
	answered := make(chan error, 1)
	t.Run("a test that ends", func(t *testing.T) {
		f := newFixture(t)
		f.Answer("", apnstest.Answer{Hang: true})
		r := f.request(t)
		r = r.WithContext(context.WithoutCancel(r.Context()))
		go func() {
			_, err := f.client.Do(r)
			answered <- err
		}()
		await(t, f, "a push is held", func() bool { return f.Held() == 1 })
	})
	if err := <-answered; err == nil {
		t.Error("there was an answer")
	}
}

func TestAPNsDropsTheConnectionWithOrWithoutThePush(t *testing.T) {
	t.Parallel()
	for _, take := range []bool{false, true} {
		f := newFixture(t)
		f.expect(t, f.request(t), 200, "")
		f.Answer("", apnstest.Answer{Drop: true, Take: take})
		if answer, err := f.do(t, f.request(t)); err == nil {
			t.Errorf("the answer is %+v", answer)
		}
		f.expect(t, f.request(t), 200, "")
		want := 2
		if take {
			want = 3
		}
		if n := len(f.Pushes()); n != want {
			t.Errorf("%d pushes were taken, want %d", n, want)
		}
		if pushes := f.Pushes(); pushes[len(pushes)-1].Connection == 1 {
			t.Error("the connection is still there")
		}
		await(t, f, "a closed connection", func() bool { return f.Open() < f.Connections() })
	}
}

// An HTTP/2 client may repeat a request that was certainly not processed (RFC 9113 section 8.7), and Go's client does.
func TestAPNsRefusesAStreamSoThatItIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]apnstest.Answer{"by a reset": {Refuse: true}, "by GOAWAY": {GoAway: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.expect(t, f.request(t), 200, "")
			f.Answer("", answer)
			f.expect(t, f.request(t), 200, "")
			requests := f.Requests()
			if len(requests) != 3 || requests[1].Status != 0 || requests[2].Status != 200 || len(f.Pushes()) != 2 {
				t.Errorf("the requests are %+v", requests)
			}
			if f.Refused() != 0 || len(f.Violations()) != 0 {
				t.Errorf("%d streams were refused for the client's fault: %q", f.Refused(), f.Violations())
			}
			if same := f.Pushes()[1].Connection == 1; same == answer.GoAway {
				t.Errorf("it is the same connection: %v", same)
			}
			await(t, f, "a closed connection", func() bool { return !answer.GoAway || f.Open() < f.Connections() })
		})
	}
}

func TestAPNsStallsHandshakesUntilItDoesNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.StallHandshakes(true)
	transport := f.client.Transport.(*http.Transport)
	transport.TLSHandshakeTimeout = 50 * time.Millisecond
	if answer, err := f.do(t, f.request(t)); err == nil || !strings.Contains(err.Error(), "handshake") {
		t.Errorf("the answer is %+v, %v", answer, err)
	}
	if n := f.Connections(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
	patient := f
	patient.client = client(t, f.Service)
	answered := make(chan error)
	go func() {
		_, err := patient.do(t, patient.request(t))
		answered <- err
	}()
	f.StallHandshakes(false)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}
