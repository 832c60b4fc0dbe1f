package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// strictScene is a scene whose Synapse does not push to the gateway, because the gateway has a private address.
func strictScene(t *testing.T) doctorScene {
	t.Helper()
	s := newSynapseSceneAt(t, theStrictSynapse(t), func(p pushServices) string { return durable + p.apps("", "") })
	s.gateway.env = append(s.gateway.env, "SSL_CERT_FILE="+filepath.Join(s.hs.dir, "ca.pem")) // the command trusts the gateway's certificate
	up := s.handsets("", "event_id_only")[3]
	s.register(up)
	return doctorScene{s, up, ""}
}

// account is what a probe may leave behind: pushers and rooms, also those that the user has left but not forgotten.
func (u *matrixUser) account() (pushers, rooms []string) {
	u.t.Helper()
	var list struct{ Pushers []device }
	u.call(http.MethodGet, "/pushers", nil, &list)
	for _, p := range list.Pushers {
		pushers = append(pushers, p.AppID)
	}
	var sync struct {
		Rooms struct{ Join, Leave, Invite map[string]json.RawMessage }
	}
	// Synapse remembers its answers for two minutes, unless the filter is another.
	filter := url.Values{"filter": {`{"room":{"include_leave":true,"timeline":{"limit":1}},"presence":{"not_types":["` + rand.Text() + `"]}}`}}
	u.call(http.MethodGet, "/sync?"+filter.Encode(), nil, &sync)
	for _, part := range []map[string]json.RawMessage{sync.Rooms.Join, sync.Rooms.Leave, sync.Rooms.Invite} {
		for id := range part {
			rooms = append(rooms, id)
		}
	}
	slices.Sort(pushers)
	slices.Sort(rooms)
	return pushers, rooms
}

// unchanged runs something that may change users' accounts only for some time.
func unchanged(t *testing.T, what func(), users ...*matrixUser) {
	t.Helper()
	state := func() (all []string) {
		for _, u := range users {
			pushers, rooms := u.account()
			all = append(append(append(all, "pushers"), pushers...), rooms...)
		}
		return all
	}
	before := state()
	what()
	if after := state(); !slices.Equal(before, after) {
		t.Errorf("the accounts had %q, and now have %q", before, after)
	}
}

// probe runs the command with a probe until it has a result. On a busy machine, Synapse may take longer than the probe waits.
func (s doctorScene) probe(code string, flags ...string) (r printed) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; {
		if r = s.doctor(append([]string{"--probe", "--yes"}, flags...)...); strings.Contains(r.out, code) || time.Now().After(deadline) {
			return r
		}
	}
}

func TestD19_AProbeShowsThatTheHomeserverReachesTheGateway(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	unchanged(t, func() {
		r := s.probe("homeserver_reaches_gateway")
		r.want(t, 0, "Note: homeserver_reaches_gateway, pusher 1", "its notification came from 127.0.0.1 over TLS 1.", "arrived at this gateway")
		r = s.probe("homeserver_reaches_gateway", "--json")
		r.want(t, 0, `"reached":[{"url":"`+strings.TrimSuffix(s.gateway.reachedBySynapse(), "/_matrix/push/v1/notify")+`","from_this_machine":"this_gateway","homeserver":{`, `"user_agent":"Synapse/1.`)
	}, s.bob)
}

func TestD19_ASecondAccountMakesTheHomeserverSend(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(s.alice.token), 0o600); err != nil {
		t.Fatal(err)
	}
	unchanged(t, func() {
		s.probe("homeserver_reaches_gateway", "--from-token-file", file).want(t, 0, "Note: homeserver_reaches_gateway, pusher 1")
	}, s.bob, s.alice)
}

// Ctrl-C comes while the homeserver has the pusher and the room.
func TestD19_AProbeThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	s := strictScene(t) // so the probe waits
	unchanged(t, func() {
		cmd := s.gateway.command("matrix-push", "doctor", "--homeserver", s.hs.url, "--token", "-", "--probe", "--yes",
			"--address", "unix/"+s.gateway.dir+"/admin.sock")
		var out, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(s.bob.token), &out, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); ; {
			pushers, rooms := s.bob.account()
			if slices.Contains(pushers, "org.matrix-push.doctor") && len(rooms) > 0 {
				break
			}
			if time.Now().After(deadline) {
				_ = cmd.Process.Kill()
				t.Fatalf("there is no pusher and room of the probe: %q, %q", pushers, rooms)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		printed{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}.want(t, 1, "interrupted: nothing is left at the homeserver")
	}, s.bob)
}

func TestD20_AHomeserverThatDoesNotReachTheGatewayIsTold(t *testing.T) {
	t.Parallel()
	s := strictScene(t)
	address := strings.TrimSuffix(s.gateway.reachedBySynapse(), "/_matrix/push/v1/notify")
	unchanged(t, func() {
		s.probe("homeserver_does_not_reach").want(t, 3, "Problem: homeserver_does_not_reach, pusher 1",
			"The homeserver does not reach "+address+", although this machine does.",
			"has the private address 127.0.0.1, which Synapse refuses unless ip_range_whitelist lists it")
	}, s.bob)
}
