package component

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

func TestX02_ARefusalIsReportedWithWhatToDoAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	for name, words := range map[string]xmpptest.Words{"Prosody": xmpptest.Prosody, "ejabberd": xmpptest.Ejabberd} {
		for reason, c := range map[string]struct {
			options Options
			prepare func(*testing.T, *xmpptest.Server)
			hint    string
		}{
			"not_authorized": {options: Options{Secret: func() (string, error) { return "canary", nil }}, hint: "component_secret"},
			"host_unknown":   {options: Options{JID: "nope.example.test"}, hint: "add the component"},
			"conflict": {
				prepare: func(t *testing.T, s *xmpptest.Server) { run(t, s, echo, Options{}); s.Accept() },
				hint:    "another program",
			},
			"no_secret": {options: Options{Secret: func() (string, error) { return "", errors.New("canary") }}, hint: "option secret"},
		} {
			if reason == "conflict" && words.Conflict == "" {
				continue
			}
			t.Run(name+"/"+reason, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := xmpptest.NewServer(t, words)
					if c.prepare != nil {
						c.prepare(t, s)
					}
					r := run(t, s, echo, c.options)
					time.Sleep(10 * time.Minute)
					checkComplaints(t, r.all(), reason, c.hint, 10)
				})
			})
		}
	}
}

// checkComplaints checks that each failure has a reason and a hint, and that one a minute is logged.
func checkComplaints(t *testing.T, failures []Failure, reason, hint string, minutes int) {
	t.Helper()
	logged := 0
	for _, f := range failures {
		if f.Reason != reason || !strings.Contains(f.Hint, hint) || f.Online || f.Err == nil || strings.Contains(f.Err.Error(), "canary") {
			t.Fatalf("got %+v", f)
		}
		if f.Log {
			logged++
		}
	}
	if logged < minutes/2 || logged > minutes+1 {
		t.Errorf("%d of %d failures are logged in %d minutes", logged, len(failures), minutes)
	}
}

func TestX13_AComponentWithAnotherSecretTakesOverWithin3Seconds(t *testing.T) {
	t.Parallel()
	for name, words := range map[string]xmpptest.Words{"Prosody": xmpptest.Prosody, "ejabberd": xmpptest.Ejabberd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := xmpptest.NewServer(t, words)
				before := run(t, s, echo, Options{})
				s.Accept()
				within(t, 3*time.Second, "the change", func() {
					after := run(t, s, echo, Options{})
					if words.Conflict != "" { // Prosody accepts no second stream
						if f := after.failure(0); f.Reason != "conflict" {
							t.Fatalf("got %+v", f)
						}
						before.stop()
					}
					<-after.up
				})
			})
		})
	}
}

func TestX13_ASecretThatHasChangedIsReadAtTheNextHandshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		secrets := make(chan string, 2)
		secrets <- "old"
		secrets <- s.Secret
		r := run(t, s, echo, Options{Secret: func() (string, error) { return <-secrets, nil }})
		<-r.up
		if f := r.failure(0); f.Reason != "not_authorized" {
			t.Errorf("got %+v", f)
		}
	})
}

func TestX13_AnEndedComponentAnswersWhatIsInHandAndClosesTheStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		begun := make(chan struct{})
		slow := echo
		slow.handle = func(ctx context.Context, stanza []byte, reply Reply) {
			close(begun)
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
				t.Error("the handler was canceled within the grace period")
			}
			echo.handle(ctx, stanza, reply)
		}
		r := run(t, s, slow, Options{})
		stream := s.Accept()
		_ = stream.Send(request("in hand"))
		<-begun
		go r.stop()
		synctest.Wait()
		_ = stream.Send(request("too late"))
		if e := <-stream.Received; e.Attr("id") != "too late" || e.Attr("type") != "error" {
			t.Errorf("got %+v", e)
		}
		if e := <-stream.Received; e.Attr("id") != "in hand" || e.Attr("type") != "result" {
			t.Errorf("got %+v", e)
		}
		if e, ok := <-stream.Received; ok || !errors.Is(stream.Err, io.EOF) {
			t.Errorf("the stream ended with %v, and not with its closing tag; got %v", stream.Err, e)
		}
		if f := r.failure(0); f.Reason != Stopped || f.Log {
			t.Errorf("got %+v", f)
		}
	})
}

func TestX13_AHandlerThatTakesLongerThanTheGracePeriodIsCanceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		stuck := echo
		stuck.handle = func(ctx context.Context, _ []byte, _ Reply) { <-ctx.Done() }
		r := run(t, s, stuck, Options{Grace: 5 * time.Second})
		stream := s.Accept()
		_ = stream.Send(request("1"))
		synctest.Wait()
		within(t, 8*time.Second, "the end", r.stop)
	})
}

func TestX14_AfterARestartOfTheServerTheComponentIsOnlineWithin5Seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		r := run(t, s, echo, Options{})
		<-r.up
		for range 20 {
			stream := s.Accept()
			time.Sleep(2 * steady)
			s.Refuse(true)
			stream.Break()
			time.Sleep(time.Second)
			s.Refuse(false)
			within(t, 5*time.Second, "the reconnection", func() { <-r.up })
		}
	})
}

func TestX14_WhileTheServerIsAwayThereAreAtMost12DialsAMinute(t *testing.T) {
	t.Parallel()
	for _, jitter := range []float64{0, 0.5, 1} {
		synctest.Test(t, func(t *testing.T) {
			s := xmpptest.NewServer(t, xmpptest.Prosody)
			s.Refuse(true)
			r := run(t, s, echo, Options{jitter: func() float64 { return jitter }})
			for minute := range 10 {
				before := s.Dials()
				time.Sleep(time.Minute)
				if n := s.Dials() - before; n < 6 || n > 12 {
					t.Errorf("%d dials in minute %d, with the jitter %v", n, minute, jitter)
				}
			}
			checkComplaints(t, r.all(), Unreachable, "check that the XMPP server is running", 10)
			s.Refuse(false)
			within(t, lastRetry, "the reconnection", func() { <-r.up })
		})
	}
}

func TestAComponentThatAnotherProgramReplacedWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		r := run(t, s, echo, Options{})
		_ = s.Accept().Send("<stream:error><conflict" + " xmlns='" + errorNS + "'/></stream:error></stream:stream>")
		if f := r.failure(0); f.Reason != "conflict" || !f.Online || f.Retry < operatorRetry/2 {
			t.Errorf("got %+v", f)
		}
	})
}

func TestAConditionThatNoSpecificationHasIsNotAReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		r := run(t, s, echo, Options{})
		_ = s.Accept().Send("<stream:error><canary" + " xmlns='" + errorNS + "'/><text xmlns='" + errorNS + "'>canary</text></stream:error>")
		if f := r.failure(0); f.Reason != undefined || strings.Contains(f.Err.Error(), "canary") {
			t.Errorf("got %+v", f)
		}
	})
}
