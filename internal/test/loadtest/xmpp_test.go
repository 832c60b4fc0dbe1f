package main

import (
	"strings"
	"testing"
	"time"
)

func TestPublishesOverOneStreamArePushedAndAnswered(t *testing.T) {
	t.Parallel()
	for provider, want := range map[string]string{fcm: "APA91bHk3", unifiedpush: "/up/0"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			o := small(t, "-population 100000 -xmpp -provider "+provider) // a thousand would be coalesced
			b := startBench(t, o, o.Gateway)
			answersAll(t, b)
			var r received
			if err := b.sink.ask(askReceived, &r); err != nil {
				t.Fatal(err)
			}
			if text := r.Last.Path + string(r.Last.Body); !strings.Contains(text, want) {
				t.Errorf("the last push is %s", text)
			}
		})
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tag    string
		id     int64
		status int
	}{
		{"<iq type='result' from='push.example.org' to='example.org' id='12'>", 12, 200},
		{" <iq type='error' from='push.example.org' to='example.org' id='7'>", 7, 503},
		{"<error type='wait'>", 0, 0},
		{"</iq>", 0, 0},
		{"<iq type='result' id='online'>", 0, 0},
	} {
		if id, status := answerIn([]byte(test.tag)); id != test.id || status != test.status {
			t.Errorf("%s is %d for %d", test.tag, status, id)
		}
	}
}

func TestAPublishIsNotAnsweredOnceTheStreamHasEnded(t *testing.T) {
	t.Parallel()
	o := small(t, "-provider fcm -xmpp -latency 1m")
	b := startBench(t, o, o.Gateway)
	late := time.AfterFunc(50*time.Millisecond, b.xmpp.close)
	defer late.Stop()
	for range 2 { // the second one is sent after the end
		if status, err := b.xmpp.post(t.Context(), b.load.bodies.next(1)); err == nil {
			t.Errorf("a publish is answered with %d", status)
		}
	}
}
