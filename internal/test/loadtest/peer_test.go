package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// needsProc skips a test where there is no /proc.
func needsProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /proc")
	}
}

// withOther calls do, which waits for another gateway, and starts that gateway as soon as its push service runs. Its process plays the server, but
// do knows only its URL.
func withOther(t *testing.T, v variant, args string, do func(o *options) error) *child {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "files")
	o := small(t, fmt.Sprintf("-url %s%s -listen 0 -files %s %s", v.at(port), notifyPath, folder, args))
	ctx, end := context.WithCancelCause(t.Context())
	go func() { end(do(o)) }()
	var s setup
	for s.read(folder) != nil || len(s.Origins) == 0 {
		if !until(ctx, time.Now().Add(time.Millisecond)) {
			t.Fatal(context.Cause(ctx))
		}
	}
	if err := s.writeConfig(folder, v, port); err != nil {
		t.Fatal(err)
	}
	other, err := start(ctx, roleServer, folder, v, new(any))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.stop() })
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) { // do returned no error
		t.Fatal(err)
	}
	return other
}

func TestAnotherGatewayIsComparedWithThisOne(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for _, test := range []struct {
		args string
		v    variant
	}{
		{"-provider apns -content full", variant{Floor: true, Plain: true}},
		{"-provider webpush -http2 -devices 2 -against wait=0s", variant{Wait: 5 * time.Second, Outbox: "off"}},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			withOther(t, test.v, test.args, func(o *options) error { return run(t.Context(), o, &out) })
			for _, want := range []string{"it needs:", appID, "its process is ", "  other gateway  ", "CPU per notification", "peak memory", "pushes per 200"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("there is no %q in\n%s", want, &out)
				}
			}
			for _, no := range []string{allocations, "note:"} {
				if strings.Contains(out.String(), no) {
					t.Errorf("there is %q in\n%s", no, &out)
				}
			}
		})
	}
}

// Guards against pushes that the other gateway leaves out, because it got the same events in an earlier measurement.
func TestEachMeasurementOfAnotherGatewayCountsOnlyItself(t *testing.T) {
	t.Parallel()
	needsProc(t)
	var with *options
	other := withOther(t, variant{Wait: 5 * time.Second, Outbox: "off", Plain: true}, "-provider fcm", func(o *options) (err error) {
		with, err = preparePeer(t.Context(), o, t.TempDir(), io.Discard)
		return err
	})
	defer with.peer.close()
	for range 2 {
		b := startBench(t, with, with.Gateway)
		m, err := b.measure(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if m.Answered == 0 || m.Answered != m.all() || m.Received.Pushes != m.Answered || m.After.CPU < m.Before.CPU {
			t.Errorf("of %d, %d were answered with 200, and there were %d pushes: %+v", m.all(), m.Answered, m.Received.Pushes, m)
		}
		all, err := b.received() // with the warm-up
		if err != nil || all.Pushes != b.taken || all.Connections < 1 || all.Connections > 20 {
			t.Errorf("%d were answered with 200, and the push service received %+v: %v", b.taken, all, err)
		}
	}
	var before, after usage
	first := other.ask(askUsage, &before)
	got, second := with.peer.process.used()
	if err := errors.Join(first, second, other.ask(askUsage, &after)); err != nil {
		t.Fatal(err)
	}
	if got.CPU < before.CPU-3*tick || got.CPU > after.CPU+3*tick || got.Peak < after.Peak/2 || got.Peak > after.Peak*2 {
		t.Errorf("its process used %+v, and it says %+v and %+v", got, before, after)
	}
	b := startBench(t, with, with.Gateway)
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	_, _, during := b.look()
	_, next := newBench(t.Context(), with, with.Gateway)
	for when, err := range map[string]error{"during a measurement": during, "before the next one": next} {
		if err == nil || !strings.Contains(err.Error(), "has ended") {
			t.Errorf("%s, it has ended, and the error is %v", when, err)
		}
	}
}

func TestSomethingThatIsNotAGatewayIsRefusedBeforeAnythingIsMeasured(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"it has no such page", 404, "", "404 instead of 200"},
		{"Caddy has no site of the name", 200, "", "200 without a body"},
		{"it is a web page", 200, "<p>It works!", `no list "rejected"`},
		{"its answer has no list", 200, "{}", `no list "rejected"`},
		{"it does not know the app", 200, `{"rejected":["x"]}`, "does it have an app " + appID},
		{"it pushes elsewhere", 200, `{"rejected":[]}`, "no push arrived at https://127.0.0.1:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			o := small(t, fmt.Sprintf("-url %s%s -listen 0 -files %s", server.URL, notifyPath, filepath.Join(t.TempDir(), "files")))
			if err := run(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestAnotherGatewayThatIsNotThereIsWaitedFor(t *testing.T) {
	t.Parallel()
	for range 10 { // until no other program takes the port meanwhile
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errSilent)
		defer cancel()
		var out strings.Builder
		p := &peer{dialer: &dialer{address: fmt.Sprintf("127.0.0.1:%d", port)}}
		waited := p.listens(ctx, &out)
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.dialer.address)
		if err != nil {
			continue
		}
		defer listener.Close()
		if !errors.Is(waited, errSilent) || !strings.Contains(out.String(), "waiting for it to listen") {
			t.Errorf("it prints %q, and the error is %v", &out, waited)
		}
		if err := p.listens(t.Context(), &out); err != nil {
			t.Error(err)
		}
		return
	}
	t.Fatal("each port was taken")
}

func TestTheKeysOfAnotherGatewayAreKept(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "new", "files")
	folder, err := peerFolder(name)
	if err == nil {
		err = new(setup).write(folder)
	}
	if err != nil {
		t.Fatal(err)
	}
	keys := func() (all []byte) {
		for _, file := range []string{caFile, keyFile, signingFile} {
			text, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		return all
	}
	first := keys()
	if _, err := peerFolder(name); err != nil || !bytes.Equal(keys(), first) {
		t.Errorf("the keys are new: %v", err)
	}
	foreign := t.TempDir()
	key := filepath.Join(foreign, keyFile)
	if err := os.WriteFile(key, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = peerFolder(foreign)
	if text, _ := os.ReadFile(key); err == nil || !strings.Contains(err.Error(), "name a new folder") || string(text) != "mine" {
		t.Errorf("the error is %v, and the key is %q", err, text)
	}
}

func TestPushesThatAreMissingAreNoted(t *testing.T) {
	t.Parallel()
	o := small(t, "-devices 2")
	of := func(answered, pushes, refused int64) *measurement {
		m := &measurement{tally: newTally(), Received: received{Pushes: pushes, Refused: refused}}
		m.Answered = answered
		return m
	}
	var out strings.Builder
	printLost(&out, o, []pair{{of(10, 21, 1), of(10, 20, 0)}, {of(10, 20, 0), of(10, 20, 1)}})
	if want := "\nnote: the floor answered notifications for 40 device(s) with 200, but 39 push(es) were delivered\n"; out.String() != want {
		t.Errorf("it prints %q", &out)
	}
}
