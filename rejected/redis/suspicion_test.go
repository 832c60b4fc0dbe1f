package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func suspect(t *testing.T, s *Store, n int) rejected.Suspicion {
	t.Helper()
	suspicion, err := s.Suspect(t.Context(), key(n), rejected.Verdict{Reason: "not_found", At: s.now()})
	if err != nil {
		t.Fatalf("Suspect: %v", err)
	}
	return suspicion
}

func acquit(t *testing.T, s *Store, n int) {
	t.Helper()
	if err := s.Acquit(t.Context(), key(n)); err != nil {
		t.Fatalf("Acquit: %v", err)
	}
}

func TestLooksOfSeveralGatewaysAddUp(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	a, b := gateways(t, redistest.Start(t), c.now)
	var last rejected.Suspicion
	for n, s := range []*Store{a, b, a, b} {
		var wg sync.WaitGroup // each gateway's look is under way together with the other's
		for _, other := range []*Store{a, b} {
			wg.Go(func() { suspect(t, other, 1) })
		}
		wg.Wait()
		if last = suspect(t, s, 1); last.Looks != n+1 {
			t.Errorf("after look %d: %+v", n+1, last)
		}
		c.add(last.LookAt.Sub(c.now()))
	}
	if !last.Since.Equal(newTestClock().now()) {
		t.Errorf("suspected since %v", last.Since)
	}
}

// Other gateways know a verdict within 5 s, but a suspicion with the next request, because it delays pushes.
func TestWhatOneGatewayDoesToASuspicionTheOthersKnowAtOnce(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	a, b := gateways(t, redistest.Start(t), c.now)
	suspect(t, a, 1)
	if !isKnown(t, b, 1) {
		t.Error("the other one does not know that it is suspected")
	}
	acquit(t, a, 1)
	if isKnown(t, b, 1) || isKnown(t, a, 1) {
		t.Error("it is still suspected")
	}
	suspect(t, a, 1)
	isKnown(t, b, 1)
	reject(t, a, 1, 5000)
	marks := make([]rejected.Mark, 1)
	if err := b.Lookup(t.Context(), []rejected.Key{key(1)}, marks); err != nil || !marks[0].Rejects(5000, c.now()) || marks[0].LookAt != 0 {
		t.Errorf("after the proof, the other one has the mark %+v, %v", marks[0], err)
	}
}

func TestAnAcquittalWithoutASuspicionIsOneQuestion(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	reject(t, s, 1, 5000)
	gets, writes := commands(t, s, "get"), commands(t, s, "evalsha")
	acquit(t, s, 1)
	acquit(t, s, 2)
	if n := commands(t, s, "evalsha"); n != writes {
		t.Errorf("%s scripts were run, %s before", n, writes)
	}
	if n := commands(t, s, "get"); len(n) != len(gets) || n[len(n)-1] != gets[len(gets)-1]+2 {
		t.Errorf("%s values were got, %s before", n, gets)
	}
	suspect(t, s, 2)
	acquit(t, s, 2)
	if n, err := s.shelf.Client.Exists(t.Context(), s.shelf.name(key(2))).Result(); n != 0 || err != nil {
		t.Errorf("a suspicion that ended leaves %d records, %v", n, err)
	}
}

func TestASuspicionIsKeptAsLongAsAVerdict(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	suspect(t, s, 1)
	ttl, err := s.shelf.Client.PTTL(t.Context(), s.shelf.name(key(1))).Result()
	if err != nil || ttl > rejected.DefaultExpire || ttl < rejected.DefaultExpire-time.Hour {
		t.Errorf("kept for %v, %v", ttl, err)
	}
}

// An earlier gateway accepts a value as a record only if it has a verdict, and does not know the rest.
func TestAnEarlierGatewayIgnoresARecordWithOnlyASuspicion(t *testing.T) {
	t.Parallel()
	value, err := encode(rejected.Record{}.Suspect(rejected.Verdict{Reason: "not_found", PushkeyTS: 5000, At: time.Now()}))
	var earlier struct {
		Verdicts  *int  `json:"verdicts"`
		Condemned int64 `json:"condemned"`
	}
	if err := errors.Join(err, json.Unmarshal([]byte(value), &earlier)); err != nil {
		t.Fatal(err)
	}
	if earlier.Verdicts == nil || *earlier.Verdicts != 0 || earlier.Condemned != 0 {
		t.Errorf("it is written as %s", value)
	}
}

func TestRecordsOfAnEarlierGatewayAreReadAndWrittenAsTheyWere(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/6ee0363/rejected.json")
	values := map[string]string{}
	if err := errors.Join(err, json.Unmarshal(content, &values)); err != nil {
		t.Fatal(err)
	}
	c := newTestClock()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL), now: c.now})
	for name, value := range values {
		if err := s.shelf.Client.Set(t.Context(), name, value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		r, ok := decode(value)
		if again, err := encode(r); !ok || err != nil || again != value {
			t.Errorf("%s came back as %s, %v", value, again, err)
		}
	}
	at := c.now()
	for name, vs := range map[string][]rejected.Verdict{
		"with pushkey_ts":      {{PushkeyTS: at.Add(-time.Hour).UnixMilli(), At: at}},
		"without pushkey_ts":   {{At: at}},
		"with a time of death": {{Since: at.Add(-time.Hour), At: at}},
		"probed twice":         {{At: at}, {At: at.Add(time.Hour)}},
	} {
		var want rejected.Record
		for _, v := range vs {
			want = want.Add(v)
		}
		got, err := s.Get(t.Context(), rejected.KeyOf("org.example.app", name))
		if err != nil || got.Mark() != want.Mark() || got.Verdicts != want.Verdicts || got.App == "" || got.Suspicion.Suspected() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if page, _, err := s.List(t.Context(), rejected.Query{}); len(page) != len(values) || err != nil {
		t.Errorf("%d records are listed, %v", len(page), err)
	}
}

func TestASuspicionThatCannotBeReadSuspectsNobody(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	for n, members := range []string{
		`"verdicts":0,"suspicion":{}`, `"suspicion":null`, `"suspicion":7`, `"suspicion":{"since":-1,"looks":1,"look_at":1}`,
		`"suspicion":{"since":1,"looks":0,"look_at":1}`, `"suspicion":{"since":1,"looks":1}`, `"condemned":5000,"probe_at":5000`,
		`"verdicts":-1,"suspicion":{"since":1,"looks":1,"look_at":1}`, `"suspicion":{"since":"x"}`, `"suspicion":[]`, `"suspicion":{`,
	} {
		value := fmt.Sprintf(`{"reason":"gone","last_seen":%d,%s}`, s.now().UnixMilli(), members)
		if err := s.shelf.Client.Set(t.Context(), s.shelf.name(key(n)), value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if isKnown(t, s, n) {
			t.Errorf("%q is a record", value)
		}
		acquit(t, s, n)
		suspect(t, s, n)
		if r, err := s.Get(t.Context(), key(n)); err != nil || r.Suspicion.Looks != 1 || r.Verdicts != 0 {
			t.Errorf("%q stays: %+v, %v", value, r, err)
		}
	}
	list := key(100)
	if err := s.shelf.Client.RPush(t.Context(), s.shelf.name(list), "x").Err(); err != nil {
		t.Fatal(err)
	}
	marks := []rejected.Mark{{ProbeAt: 1}}
	if err := s.Lookup(t.Context(), []rejected.Key{list}, marks); err != nil || marks[0] != (rejected.Mark{}) {
		t.Errorf("a value that is not a string has the mark %+v, %v", marks[0], err)
	}
}

func TestAServerThatAnswersNonsenseRejectsNobody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a page":              "HTTP/1.1 400 Bad Request\r\n\r\n",
		"noise":               "\x00\xff\x17",
		"a number":            ":7\r\n",
		"an array of another": "*2\r\n:1\r\n:2\r\n",
		"nothing":             "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, &Store{Address: at(redistest.Nonsense(t, answer))})
			marks := []rejected.Mark{{Condemned: 7, ProbeAt: 7}}
			if err := s.Lookup(t.Context(), []rejected.Key{key(1)}, marks); marks[0] != (rejected.Mark{}) {
				t.Errorf("Lookup: mark %+v, %v", marks[0], err)
			}
			now := time.Now()
			suspicion, err := s.Suspect(t.Context(), key(1), rejected.Verdict{At: now})
			if suspicion.Looks > 1 || suspicion.Suspected() && suspicion.Since.Before(now) {
				t.Errorf("Suspect: %+v, %v", suspicion, err)
			}
			if at, err := s.LastDelivered(t.Context(), key(1)); at.After(now.Add(-time.Hour)) {
				t.Errorf("LastDelivered: %v, %v", at, err)
			}
		})
	}
}

func TestTheLastDeliveryOfAHostIsTheNewestOfAllGateways(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	server := redistest.Start(t)
	a, b := gateways(t, server, c.now)
	other := opened(t, &Store{Address: at(server.URL), Prefix: "other", now: c.now})
	now, client := c.now(), a.shelf.Client
	name := "{matrix_push}:delivered:" + key(1).String()
	for _, step := range []struct {
		name      string
		by        *Store
		at, wants time.Time
	}{
		{"the first", a, now, now},
		{"an older one of another gateway", b, now.Add(-time.Second), now},
		{"a newer one of another gateway", b, now.Add(time.Millisecond), now.Add(time.Millisecond)},
		{"a clock that runs ahead by some minutes", a, now.Add(30 * time.Minute), now.Add(30 * time.Minute)},
		{"the others are behind that", b, now.Add(time.Second), now.Add(30 * time.Minute)},
		{"a clock that runs ahead by a day", a, now.Add(24 * time.Hour), now.Add(24 * time.Hour)},
		{"the others outdo that", b, now.Add(2 * time.Second), now.Add(2 * time.Second)},
	} {
		if err := step.by.Delivered(t.Context(), key(1), step.at); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{a, b} {
			if got, err := s.LastDelivered(t.Context(), key(1)); err != nil || !got.Equal(step.wants) {
				t.Errorf("%s: %v, %v; want %v", step.name, got, err, step.wants)
			}
		}
	}
	if ttl, err := client.PTTL(t.Context(), name).Result(); err != nil || ttl > 48*time.Hour || ttl < 47*time.Hour {
		t.Errorf("kept for %v, %v", ttl, err)
	}
	if got, err := other.LastDelivered(t.Context(), key(1)); err != nil || !got.IsZero() {
		t.Errorf("a store with another prefix has %v, %v", got, err)
	}
	for _, nonsense := range []string{"", "soon", "-1", "0", "1e400", "nan", "99999999999999999999"} {
		if err := client.Set(t.Context(), name, nonsense, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := a.LastDelivered(t.Context(), key(1)); err != nil || !got.IsZero() {
			t.Errorf("%q is %v, %v", nonsense, got, err)
		}
		if err := a.Delivered(t.Context(), key(1), now); err != nil {
			t.Errorf("after %q: %v", nonsense, err)
		}
		if got, err := a.LastDelivered(t.Context(), key(1)); err != nil || !got.Equal(now) {
			t.Errorf("%q stays: %v, %v", nonsense, got, err)
		}
	}
}

func TestACallThatIsGivenUpSaysSo(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := opened(t, &Store{Address: at(server.URL + timeouts)})
	resume := server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.Reject(ctx, key(1), rejected.Verdict{Reason: "gone", At: time.Now()})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "redis: ") {
		t.Errorf("error %v", err)
	}
	resume()
}
