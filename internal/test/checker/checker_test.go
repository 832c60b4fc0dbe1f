package checker

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at returns a time some seconds after noon.
func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// sent returns a request for the phone, answered a tenth of a second later.
func sent(seconds float64, event string, status int, rejected ...string) Request {
	return registered(seconds, event, status, 100, rejected...)
}

func registered(seconds float64, event string, status int, pushkeyTS int64, rejected ...string) Request {
	q := Request{
		Sent: at(seconds), Event: event, Status: status, Rejected: rejected, Devices: []Device{{Name: "phone", PushkeyTS: pushkeyTS}},
	}
	if status != 0 {
		q.Answered = at(seconds + 0.1)
	}
	return q
}

func taken(seconds float64, event string) Push {
	return Push{Time: at(seconds), Device: "phone", Event: event, Taken: true}
}

func refused(seconds float64, event string) Push {
	return Push{Time: at(seconds), Device: "phone", Event: event}
}

func dead(seconds float64, event string, since int64) Push {
	return Push{Time: at(seconds), Device: "phone", Event: event, Dead: true, Since: since}
}

func cut(p Push) Push {
	p.Cut = true
	return p
}

func expiring(q Request) Request {
	q.Expires = q.Sent.Add(time.Second)
	return q
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		requests []Request
		pushes   []Push
		kills    []float64
		want     []Kind
	}{
		{name: "nothing happened"},
		{name: "delivered", requests: []Request{sent(0, "1", 200)}, pushes: []Push{taken(0.05, "1")}},
		{name: "delivered later", requests: []Request{sent(0, "1", 200)}, pushes: []Push{refused(0.05, "1"), taken(60, "1")}},
		{name: "delivered in the end", requests: []Request{sent(0, "1", 503), sent(1, "1", 0), sent(2, "1", 200)}, pushes: []Push{taken(2.05, "1")}},
		{name: "never answered", requests: []Request{sent(0, "1", 0), sent(1, "1", 503)}},
		{name: "delivered, and never answered", requests: []Request{sent(0, "1", 0)}, pushes: []Push{taken(0.05, "1")}},

		{name: "never pushed", requests: []Request{sent(0, "1", 200)}, want: []Kind{Lost}},
		{name: "never taken", requests: []Request{sent(0, "1", 200)}, pushes: []Push{refused(1, "1"), refused(2, "1")}, want: []Kind{Lost}},
		{name: "accepted at the second try, never taken", requests: []Request{sent(0, "1", 503), sent(1, "1", 200)}, want: []Kind{Lost}},
		{name: "a kill excuses no loss", requests: []Request{sent(0, "1", 200)}, kills: []float64{0.2}, want: []Kind{Lost}},
		{name: "one of two", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)}, pushes: []Push{taken(1.05, "2")}, want: []Kind{Lost}},
		{name: "its time was over", requests: []Request{expiring(sent(0, "1", 200))}},

		{name: "taken twice", requests: []Request{sent(0, "1", 200)}, pushes: []Push{taken(0.05, "1"), taken(0.06, "1")}, want: []Kind{Doubled}},
		{
			name: "taken for each of two requests", requests: []Request{sent(0, "1", 503), sent(1, "1", 200)},
			pushes: []Push{taken(0.05, "1"), taken(1.05, "1")}, want: []Kind{Doubled},
		},
		{
			name: "taken, killed, taken", requests: []Request{sent(0, "1", 200)}, pushes: []Push{taken(0.05, "1"), taken(3, "1")},
			kills: []float64{2},
		},
		{
			name: "taken, killed much later, taken", requests: []Request{sent(0, "1", 200)}, pushes: []Push{taken(0.05, "1"), taken(3, "1")},
			kills: []float64{2.1}, want: []Kind{Doubled},
		},
		{
			name: "killed, taken, taken", requests: []Request{sent(0, "1", 200)}, pushes: []Push{taken(1, "1"), taken(2, "1")},
			kills: []float64{0.5, 2.5}, want: []Kind{Doubled},
		},
		{
			name: "a kill explains one repetition", requests: []Request{sent(0, "1", 200)},
			pushes: []Push{taken(1, "1"), taken(2, "1"), taken(2.1, "1")}, kills: []float64{1.5}, want: []Kind{Doubled},
		},
		{name: "its answer was cut off", requests: []Request{sent(0, "1", 200)}, pushes: []Push{cut(taken(1, "1")), taken(9, "1")}},
		{
			name: "the second answer was cut off", requests: []Request{sent(0, "1", 200)},
			pushes: []Push{taken(1, "1"), cut(taken(9, "1"))}, want: []Kind{Doubled},
		},

		{name: "in order", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)}, pushes: []Push{taken(5, "1"), taken(6, "2")}},
		{
			name: "out of order", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)},
			pushes: []Push{taken(5, "2"), taken(6, "1")}, want: []Kind{Reordered},
		},
		{name: "at the same time, in any order", requests: []Request{sent(0, "1", 200), sent(0.05, "2", 200)}, pushes: []Push{taken(5, "2"), taken(6, "1")}},
		{
			name: "the former was refused before", requests: []Request{sent(0, "1", 503), sent(0.5, "2", 200), sent(1, "1", 200)},
			pushes: []Push{taken(0.55, "2"), taken(1.05, "1")},
		},
		{
			name: "again, after a later one", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)},
			pushes: []Push{cut(taken(5, "1")), taken(6, "2"), taken(7, "1")}, want: []Kind{Reordered},
		},
		{
			name: "again, before a later one", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)},
			pushes: []Push{cut(taken(5, "1")), taken(6, "1"), taken(7, "2")},
		},

		{name: "rejected rightly", requests: []Request{sent(0, "1", 200, "phone")}, pushes: []Push{dead(0.05, "1", 0)}},
		{
			name: "rejected ever after", requests: []Request{sent(0, "1", 200, "phone"), sent(5, "2", 200, "phone"), registered(6, "3", 200, 99, "phone")},
			pushes: []Push{dead(0.05, "1", 0)},
		},
		{
			name: "no pushkey_ts", requests: []Request{sent(0, "1", 200, "phone"), registered(5, "2", 200, 0, "phone")},
			pushes: []Push{dead(0.05, "1", 0)},
		},
		{name: "rejected for no reason", requests: []Request{sent(0, "1", 200, "phone")}, pushes: []Push{refused(0.05, "1")}, want: []Kind{WronglyRejected}},
		{name: "rejected too early", requests: []Request{sent(0, "1", 200, "phone")}, pushes: []Push{dead(0.2, "1", 0)}, want: []Kind{WronglyRejected}},
		{
			name: "another registration is rejected", requests: []Request{sent(0, "1", 200, "phone"), registered(5, "2", 200, 101, "phone")},
			pushes: []Push{dead(0.05, "1", 0)}, want: []Kind{WronglyRejected},
		},
		{
			name:     "a registration before the push service's time",
			requests: []Request{sent(0, "1", 200, "phone"), registered(5, "2", 200, 104, "phone"), registered(6, "3", 200, 105, "phone")},
			pushes:   []Push{dead(0.05, "1", 105)}, want: []Kind{WronglyRejected},
		},
		{
			name: "a stranger is rejected", requests: []Request{sent(0, "1", 200, "tablet")}, pushes: []Push{taken(0.05, "1")},
			want: []Kind{WronglyRejected},
		},
		{
			name: "the badge update was answered as dead", requests: []Request{sent(0, "", 200), sent(1, "1", 200, "phone")},
			pushes: []Push{dead(0.05, "", 0)},
		},

		{name: "it died with the push", requests: []Request{sent(0, "1", 200)}, pushes: []Push{dead(5, "1", 0)}},
		{
			name: "the pending push behind the push of a dead device", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)},
			pushes: []Push{dead(5, "1", 0)},
		},
		{
			name: "the push before the push of a dead device", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)},
			pushes: []Push{dead(5, "2", 0)}, want: []Kind{Lost},
		},
		{
			name: "the pending push is for another registration", requests: []Request{sent(0, "1", 200), registered(1, "2", 200, 101)},
			pushes: []Push{dead(5, "1", 0)}, want: []Kind{Lost},
		},

		{name: "nobody asked for it", requests: []Request{sent(0, "1", 200)}, pushes: []Push{taken(0.05, "1"), taken(1, "2")}, want: []Kind{Invented}},
		{name: "before anybody asked for it", requests: []Request{sent(1, "1", 503)}, pushes: []Push{taken(0.5, "1")}, want: []Kind{Invented}},
		{name: "a badge update that nobody asked for", pushes: []Push{taken(0.5, "")}, want: []Kind{Invented}},
		{name: "badge updates", requests: []Request{sent(0, "", 200), sent(1, "", 200)}, pushes: []Push{taken(0.5, ""), taken(5, ""), taken(6, "")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var kills []Kill
			for _, k := range tt.kills {
				kills = append(kills, Kill{Time: at(k)})
			}
			got := byFiles(t, tt.requests, tt.pushes, kills)
			var kinds []string
			for _, f := range got.Findings {
				kinds = append(kinds, string(f.Kind))
			}
			var want []string
			for _, k := range tt.want {
				want = append(want, string(k))
			}
			if strings.Join(kinds, ", ") != strings.Join(want, ", ") {
				t.Errorf("found %v, want %v", got.Findings, tt.want)
			}
		})
	}
}

// byFiles writes the logs into files and checks these.
func byFiles(t *testing.T, requests []Request, pushes []Push, kills []Kill) Report {
	t.Helper()
	dir := t.TempDir()
	names := [3]string{}
	for i, write := range []func(string) error{
		func(path string) error { return WriteFile(path, requests) },
		func(path string) error { return WriteFile(path, pushes) },
		func(path string) error { return WriteFile(path, kills) },
	} {
		names[i] = filepath.Join(dir, string(rune('a'+i)))
		if err := write(names[i]); err != nil {
			t.Fatal(err)
		}
	}
	report, err := CheckFiles(names[0], names[1], names[2])
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestTheReportCounts(t *testing.T) {
	t.Parallel()
	two := sent(0, "1", 200, "phone")
	two.Devices = append(two.Devices, Device{Name: "tablet"})
	report := Check(
		[]Request{two, sent(1, "2", 503), sent(2, "2", 200, "phone"), sent(3, "3", 0), expiring(registered(4, "4", 200, 200))},
		[]Push{
			dead(0.05, "1", 0),
			{Time: at(0.06), Device: "tablet", Event: "1", Taken: true, Cut: true},
			{Time: at(0.5), Device: "tablet", Event: "1", Taken: true},
			{Time: at(1.5), Device: "tablet", Event: "1", Taken: true},
			{Time: at(1.6), Device: "tablet", Event: "1", Taken: true},
		},
		[]Kill{{Time: at(0.9), Ended: at(1)}},
	)
	var b bytes.Buffer
	report.Write(&b)
	const want = `5 requests: 3 answered with 200, 1 with another status, 1 unanswered; 1 kills; 5 pushes
5 events: 1 taken, 2 rejected, 0 for a dead device, 1 expired
1 taken again after a kill, 1 after a cut answer, 0 around an outage; 0 out of order around an outage
0 lost, 1 doubled, 0 reordered, 0 starved, 0 wrongly rejected, 0 invented
doubled: 1 for tablet: taken at 12:00:01.500 and again at 12:00:01.600, without a kill, a cut answer or an outage in between
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestALogThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	for _, log := range []string{`{"tme": "2026-03-01T12:00:00Z"}`, `{"time": 12}`, `{`, `{"taken": true} nonsense`} {
		if entries, err := Read[Push](strings.NewReader(log)); err == nil {
			t.Errorf("%s is read as %v", log, entries)
		}
	}
}
