package main

import (
	"io"
	"os"
	"path/filepath"
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
		{"fewer notifications than none", "-burst -1", "-burst"},
		{"a burst at a rate", "-burst 10 -rate 5", "-burst excludes -rate"},
		{"a burst that is not sent at once", "-burst 10 -concurrency 5", "-burst excludes -concurrency"},
		{"a burst with fewer connections than notifications", "-burst 10 -connections 5", "-connections"},
		{"a burst of publishes", "-provider fcm -xmpp -burst 10", "-burst excludes -xmpp"},
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
		{"an unknown content", "-content none -against http", "content must be"},
		{"a content that the floor does not have", "-content full", "-content"},
		{"members of a device that are not an object", "-device []", "-device"},
		{"a URL that is not one", "-url http://127.0.0.1:x/_matrix/push/v1/notify", "-url"},
		{"a URL without a scheme", "-url 127.0.0.1:5000", "-url"},
		{"a URL of another protocol", "-url ftp://127.0.0.1/_matrix/push/v1/notify", "-url"},
		{"a URL without a host", "-url http:///_matrix/push/v1/notify", "-url"},
		{"a URL of something else than the notify API", "-url http://127.0.0.1:5000/", "such as http://127.0.0.1:5000/_matrix/push/v1/notify"},
		{"HTTP/2 without TLS", "-http2 " + otherURL, "-http2"},
		{"another gateway that gets XMPP", "-provider fcm -xmpp " + otherURL, "-url excludes -xmpp"},
		{"idle connections of another gateway", "-idle 1 " + otherURL, "-url excludes -idle"},
		{"records of another gateway", "-records 1 " + otherURL, "-url excludes -records"},
		{"rejections that another gateway remembers", "-provider rejected " + otherURL, "-url excludes -provider rejected"},
		{"a process without another gateway", "-pid 1", "-pid needs -url"},
		{"files without another gateway", "-files x", "-files needs -url"},
		{"a push service for nobody", "-listen 8443", "-listen needs -url"},
		{"a port that does not exist", "-listen 65536 " + otherURL, "-listen"},
		{"hosts without ports", "-provider webpush -hosts 9 -listen 65530 " + otherURL, "-listen"},
		{"a negative process", "-pid -1 " + otherURL, "-pid is negative"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(strings.Fields(test.args), io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// otherURL makes another gateway the one that is measured.
const otherURL = "-url http://127.0.0.1:5000" + notifyPath

func TestAnotherGatewayIsComparedWithTheGatewayUnlessSaidOtherwise(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for args, want := range map[string]variant{
		"-wait 2s -content full": {Name: "gateway", Plain: true, Wait: 2 * time.Second, Outbox: "file", Content: "full"},
		"-against outbox=off,content=event_id_only": {
			Name: "outbox=off,content=event_id_only", Plain: true, Wait: 5 * time.Second, Outbox: "off", Content: "event_id_only",
		},
		"-against floor": {Name: "floor", Plain: true, Floor: true, Wait: 5 * time.Second, Outbox: "file"},
	} {
		o, err := parse(strings.Fields(otherURL+" "+args), io.Discard)
		if err != nil || o.Gateway != (variant{Name: "other gateway", Other: true}) || o.Against != want {
			t.Errorf("%s: %+v is compared with %+v: %v", args, o.Gateway, o.Against, err)
		}
	}
	o, err := parse(strings.Fields("-url https://localhost"+notifyPath), io.Discard)
	if err != nil || o.Against.Plain || portOf(o.URL) != "443" || o.Listen != 8443 {
		t.Errorf("with TLS, the options are %+v: %v", o, err)
	}
}

func TestTheGatewayIsConfiguredWithItsContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for content, want := range map[string]bool{"": false, "full": true} {
		s := setup{Provider: apns, Origins: []string{"https://127.0.0.1:1"}}
		if err := s.writeConfig(dir, variant{Content: content}, 2); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, configFile))
		if got := strings.Contains(string(text), "\n\t\t\tcontent full\n"); err != nil || got != want {
			t.Errorf("with the content %q, the configuration is\n%s", content, text)
		}
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
