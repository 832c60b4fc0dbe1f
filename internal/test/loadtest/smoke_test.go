package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// small returns the options of a short run. Its times mean nothing.
func small(t *testing.T, args string) *options {
	t.Helper()
	o, err := parse(strings.Fields("-pairs 1 -warmup 20ms -duration 100ms -latency 1ms -population 50 -hosts 2 -concurrency 4 "+args), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// startBench starts a bench that ends with the test.
func startBench(t *testing.T, o *options, v variant) *bench {
	t.Helper()
	b, err := newBench(t.Context(), o, v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Errorf("ending the servers: %v", err)
		}
	})
	return b
}

func TestBothAnswerEveryNotification(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-provider apns -wait 0s", "-provider fcm -http2 -devices 3", "-provider rejected"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			o := small(t, args)
			for _, v := range []variant{o.Gateway, o.Against} {
				answersAll(t, startBench(t, o, v))
			}
		})
	}
}

// answersAll measures a closed and an open loop, and wants every notification answered with 200 and pushed.
func answersAll(t *testing.T, b *bench) {
	t.Helper()
	for _, rate := range []float64{0, 200} {
		m, err := b.measure(t.Context(), rate)
		if err != nil {
			t.Fatalf("%s: %v", b.variant.Name, err)
		}
		pushes := m.Answered * int64(b.options.Devices)
		if b.options.Provider == rejected {
			pushes = 0
		}
		if m.Answered == 0 || m.Answered != m.all() || m.Received.Pushes != pushes {
			t.Errorf("%s: of %d, %d were answered with 200, and there were %d pushes", b.variant.Name, m.all(), m.Answered, m.Received.Pushes)
		}
		if m.After.Allocations <= m.Before.Allocations || m.Latency.TotalCount() != m.Answered {
			t.Errorf("%s: %+v", b.variant.Name, m)
		}
	}
}

func TestAPushServiceThatFailsIsAnsweredWith503ByBoth(t *testing.T) {
	t.Parallel()
	o := small(t, "-outbox off -errors 1")
	for _, v := range []variant{o.Gateway, o.Against} {
		m, err := startBench(t, o, v).measure(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if m.Refused == 0 || m.Refused != m.all() {
			t.Errorf("%s: of %d, %d were answered with 503", v.Name, m.all(), m.Refused)
		}
	}
}

// Guards against a floor that looks cheap because it does less.
func TestTheFloorSendsWhatTheGatewaySendsAndBothAnswer(t *testing.T) {
	t.Parallel()
	for _, provider := range []string{apns, fcm, unifiedpush, webpush} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			o := small(t, "-provider "+provider)
			gateway, floor := startBench(t, o, o.Gateway), startBench(t, o, o.Against)
			for n, shape := range shapes {
				got, want := sent(t, floor, shape, n), sent(t, gateway, shape, n)
				if got != want {
					t.Errorf("%s: the floor sends\n%s\nand the gateway\n%s", shape, got, want)
				}
			}
			answersAll(t, gateway)
			answersAll(t, floor)
		})
	}
}

// sent returns what a server sends to the push service for the nth notification, without what differs each time.
func sent(t *testing.T, b *bench, shape string, n int) string {
	t.Helper()
	var s setup
	if err := s.read(b.dir); err != nil {
		t.Fatal(err)
	}
	o := *b.options
	o.Body = shape
	made, err := newBodies(&o, s.Origins[:1])
	if err != nil {
		t.Fatal(err)
	}
	subscription := providertest.NewPushService(providertest.PushServiceOptions{Origin: s.Origins[0]}).SubscribeDemo("demo")
	if o.Provider == webpush {
		made.devices = []string{fmt.Sprintf(`{"app_id":%q,"pushkey":%q,"data":{"endpoint":%q,"auth":%q}}`,
			appID, subscription.P256dh, subscription.Endpoint, subscription.Auth)}
	}
	status, err := b.load.writers[0][0].post(t.Context(), made.next(int64(n)+1_000_000))
	if err != nil || status != 200 {
		t.Fatalf("the %s answers %d: %v", b.variant.Name, status, err)
	}
	b.taken++
	var r received
	if err := b.sink.ask(askReceived, &r); err != nil {
		t.Fatal(err)
	}
	return canonical(t, o.Provider, subscription, &r, s.Origins[0])
}

func canonical(t *testing.T, provider string, subscription providertest.Subscription, r *received, origin string) string {
	t.Helper()
	body, size := r.Last.Body, len(r.Last.Body)
	if provider == webpush {
		var err error
		if body, err = subscription.Decrypt(body); err != nil {
			t.Fatal(err)
		}
	}
	var text strings.Builder
	fmt.Fprintln(&text, r.Last.Path)
	header := r.Last.Header
	for _, name := range slices.Sorted(maps.Keys(header)) {
		value := header.Get(name)
		switch name {
		case "Apns-Id", "Apns-Expiration", "Ttl":
			value = "…"
		case "Authorization":
			scheme, token, _ := strings.Cut(value, " ")
			value = fmt.Sprintf("%s and %d bytes", scheme, len(token)/8*8)
		case "Topic":
			value = fmt.Sprint(len(value), " characters") // it depends on the device's data and their origin
		}
		fmt.Fprintf(&text, "%s: %s\n", name, value)
	}
	fmt.Fprintf(&text, "%d bytes: %s\n", size, strings.ReplaceAll(string(body), origin, ""))
	return text.String()
}

func TestTheProgramPrintsAndDraws(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plot.svg")
	for _, test := range []struct {
		name string
		do   func(*options, io.Writer) error
		args string
		want []string
	}{
		{
			"pairs at a share of the gateway's throughput",
			func(o *options, out io.Writer) error { return run(t.Context(), o, out) },
			"-provider rejected -rate 10%",
			[]string{"the gateway reaches ", "(open loop)", "CPU per notification", "latency, p99.9"},
		},
		{
			"pushes by XMPP, compared with HTTP",
			func(o *options, out io.Writer) error { return run(t.Context(), o, out) },
			"-provider fcm -xmpp -against http",
			[]string{"over one component's stream", "http", "CPU per notification"},
		},
		{
			"idle connections",
			func(o *options, out io.Writer) error { return run(t.Context(), o, out) },
			"-provider rejected -idle 3",
			[]string{"each of 3 idle connections", "heap and stacks", "resident memory"},
		},
		{
			"a sweep with a plot",
			func(o *options, out io.Writer) error { return sweep(t.Context(), o, []float64{10}, out) },
			"-provider rejected -plot " + file,
			[]string{"added p99", "10 %", "the plot is in"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := test.do(small(t, test.args), &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("there is no %q in\n%s", want, &out)
				}
			}
			if strings.Contains(test.args, file) {
				document, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if lines := elements(t, document)["polyline"]; len(lines) != 4 {
					t.Errorf("the plot has %d lines", len(lines))
				}
			}
		})
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte("{\n\tno_such_option\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t.Context(), roleServer, dir, variant{}, new(any)); err == nil || !strings.Contains(err.Error(), "no_such_option") {
		t.Errorf("the error is %v", err)
	}
}

func TestAServerKnowsHowManyCPUsItMayUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := json.Marshal(setup{Hosts: 1, Latency: time.Millisecond})
	if err == nil {
		err = errors.Join(writeKeys(dir), os.WriteFile(filepath.Join(dir, setupFile), text, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := start(t.Context(), roleSink, dir, variant{GOMAXPROCS: 3}, new([]string))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(c.cmd.Env, "GOMAXPROCS=3") {
		t.Error("the process does not get GOMAXPROCS")
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}
