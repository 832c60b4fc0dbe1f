package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestAWrongFlagIsNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, args, want string }{
		{"an unknown provider", "-provider pigeon", "-provider"},
		{"an unknown body", "-body novel", "-body"},
		{"no device", "-devices 0", "-devices"},
		{"fewer devices than in a notification", "-devices 5 -population 4", "-population"},
		{"more errors than pushes", "-errors 1.1", "-errors"},
		{"errors that are not a number", "-errors NaN", "-errors"},
		{"a rate that is not a number", "-rate fast", "-rate"},
		{"a negative rate", "-rate -1", "-rate"},
		{"fewer connections with HTTP/1.1 than notifications in flight", "-connections 1 -concurrency 2", "-connections"},
		{"no pair", "-pairs 0", "-pairs"},
		{"fewer records than none", "-records -1", "-records"},
		{"a start without pairs", "-records 1 -idle 1", "-records"},
		{"no time", "-duration 0s", "-duration"},
		{"an answer before the push, without an outbox", "-wait 0s -outbox off", "wait 0"},
		{"the same for the other side", "-against wait=0s,outbox=off", "wait 0"},
		{"an unknown outbox", "-outbox redis", "outbox"},
		{"a comparison with an unknown option", "-against speed=5", "-against: speed=5"},
		{"another build that does not exist", "-against ceiling", "-against: ceiling is not a program: stat"},
		{"another build that is not executable", "-against ./options_test.go", "./options_test.go is not a program: permission denied; build it"},
		{"a folder", "-against ../loadtest", "../loadtest is not a program: is a directory; build it"},
		{"another build in a folder that looks like options", "-against ./wait=0s/loadtest", "-against: ./wait=0s/loadtest is not a program"},
		{"a component without a token as its node", "-provider webpush -xmpp", "-xmpp"},
		{"a publish for two devices", "-provider fcm -xmpp -devices 2", "-xmpp"},
		{"a component with idle connections", "-provider fcm -xmpp -idle 1", "-xmpp"},
		{"an argument", "apns", `"apns"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(strings.Fields(test.args), io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestWhatIsNotSaidFollowsFromTheRest(t *testing.T) {
	t.Parallel()
	o, err := parse(strings.Fields("-wait 2s -gomaxprocs 2 -against wait=0s,gomaxprocs=1 -concurrency 256 -http2 -rate 50% -plot x.svg"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.Gateway != (variant{Name: "gateway", Wait: 2 * time.Second, Outbox: "file", GOMAXPROCS: 2}) {
		t.Errorf("the gateway is %+v", o.Gateway)
	}
	if o.Against != (variant{Name: "wait=0s,gomaxprocs=1", Outbox: "file", GOMAXPROCS: 1}) {
		t.Errorf("it is compared with %+v", o.Against)
	}
	if o.Connections != 8 || !o.Sweep || o.Rate != (rate{50, true}) || o.Rate.String() != "50%" {
		t.Errorf("the options are %+v", o)
	}
	if o.Population != 1000 {
		t.Errorf("there are %d devices", o.Population)
	}
	o, err = parse(strings.Fields("-provider fcm -xmpp -against http"), io.Discard)
	if err != nil || !o.Gateway.XMPP || o.Against.XMPP || o.Against.Floor || o.Population != 100_000 {
		t.Errorf("for XMPP, the options are %+v: %v", o, err)
	}
	if o, err = parse(nil, io.Discard); err != nil || o.Connections != o.Concurrency || !o.Against.Floor {
		t.Errorf("the default is %+v: %v", o, err)
	}
}
