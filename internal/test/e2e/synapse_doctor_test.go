package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// doctorScene is a Synapse in front of a gateway, and a device that gets its pushes from a push server.
type doctorScene struct {
	synapseScene
	up   handset
	room string
}

func newDoctorScene(t *testing.T) doctorScene {
	t.Helper()
	s := newSynapseScene(t, func(p pushServices) string { return durable + p.apps("", "") })
	s.gateway.env = append(s.gateway.env, "SSL_CERT_FILE="+filepath.Join(s.hs.dir, "ca.pem")) // the command trusts the gateway's certificate, as Synapse does
	return doctorScene{s, s.handsets("", "event_id_only")[3], s.alice.room("", s.bob)}
}

// newHealthyScene is a scene whose device has got a push.
func newHealthyScene(t *testing.T) doctorScene {
	t.Helper()
	s := newDoctorScene(t)
	s.register(s.up)
	s.up.wantEvents(s.alice.says(s.room, "Hello"))
	s.wantStatuses(map[string]int{"200": 1}) // the gateway has noted the attempt
	return s
}

// doctor runs the command for bob's account. Its output has no secrets.
func (s doctorScene) doctor(flags ...string) printed {
	s.t.Helper()
	args := append([]string{"doctor", "--homeserver", s.hs.url, "--token", "-"}, flags...)
	r := s.gateway.running(s.bob.token+"\n", args...)
	if text := r.out + r.err; strings.Contains(text, s.bob.token) || strings.Contains(text, s.up.Pushkey) || strings.Contains(text, "Hello") {
		s.t.Errorf("it prints a token, a pushkey or a message:\n%s", text)
	}
	return r
}

// doctorReport is the JSON that the command prints.
type doctorReport struct {
	Homeserver struct{ Requests int }
	Pushers    []struct {
		Ours bool
		Test map[string]any
	}
	Rings    []map[string]any
	Findings []struct {
		Code, Severity, Rule, Text, Action string
		RoomID                             string `json:"room_id"`
	}
}

func (r printed) report(t *testing.T) (report doctorReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("%v: %s%s", err, r.out, r.err)
	}
	return report
}

// wantCodes wants the codes of the findings.
func (r doctorReport) wantCodes(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, f := range r.Findings {
		if got = append(got, f.Code); f.Text == "" || f.Action == "" || strings.ContainsAny(f.Text+f.Action, "{}") {
			t.Errorf("the finding is incomplete: %+v", f)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the findings are %q, want %q", got, want)
	}
}

func TestD01_AHealthyAccountHasNoProblem(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	r := s.doctor()
	r.want(t, 0, "Found no problem for "+s.bob.id, "\n1       org.example.up  ", " ok\n", "\ncall ")
	r = s.doctor("--json")
	r.want(t, 0)
	report := r.report(t)
	report.wantCodes(t)
	if len(report.Pushers) != 1 || !report.Pushers[0].Ours || len(report.Rings) != 7 || report.Homeserver.Requests > 10 {
		t.Errorf("the report is %+v", report)
	}
}

func TestD02_AWrongTokenIsOneSentence(t *testing.T) {
	t.Parallel()
	s := newDoctorScene(t)
	token := s.bob.token
	s.bob.call(http.MethodPost, "/logout", map[string]any{}, nil)
	s.gateway.running(token, "doctor", "--homeserver", s.hs.url, "--token", "-").
		want(t, 1, "the access token is not valid at "+s.hs.url+" (M_UNKNOWN_TOKEN)")
}

func TestD03_TheTokenComesFromAFileOrStandardInput(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(s.bob.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway.running("", "doctor", "--homeserver", s.hs.url, "--token-file", file).want(t, 0, "Found no problem")
	s.doctor().want(t, 0, "Found no problem")
	r := s.gateway.running("", "doctor", "--homeserver", s.hs.url, "--token", s.bob.token)
	r.wantUsage(t, "--token: a token on the command line is visible to all users of the machine")
	if strings.Contains(r.err, s.bob.token) {
		t.Error("it repeats the token")
	}
}

func TestD05_AnAccountWithoutPusherIsTold(t *testing.T) {
	t.Parallel()
	s := newDoctorScene(t)
	s.doctor().want(t, 3, "Problem: no_pusher", "The account has no pusher", "To do: Open the app, and allow notifications")
}

func TestD06_APusherOfAnotherKindIsNotForThisGateway(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	s.bob.call(http.MethodPost, "/pushers/set", map[string]any{
		"kind": "webpush", "app_id": "org.example.browser", "pushkey": "another key", "data": map[string]any{"url": "https://push.example.org"},
		"app_display_name": "An app", "device_display_name": "A device", "lang": "en", "append": true,
	}, nil)
	s.doctor().want(t, 0, "Note: not_for_gateway, pusher ", `The pusher has the kind "webpush", so it is not for this gateway.`, "kind webpush\n")
}

func TestD14_ARecordOfARejectionIsNamedUntilTheAppRegistersAgain(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	s.up.die()
	s.alice.says(s.room, "While it is dead")
	s.waitForRejection(s.up)
	s.bob.wantNoPusher(s.up.device)
	s.register(s.up)
	s.doctor().want(t, 3, "Problem: pushkey_dead, pusher 1", "To do: Open the app, so it registers again.")
	s.up.live()
	s.registerUntilTheyWork(s.room, s.up)
	r := s.doctor()
	r.want(t, 0, "Note: pushkey_was_dead, pusher 1", "the app registered again")
}

// moveAway makes the pusher's URL lead to a gateway that is gone.
func (s doctorScene) moveAway() {
	s.t.Helper()
	listener, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = listener.Close() })
	go func() { // it keeps the port, so no other gateway gets it
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			_ = conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	s.bob.push(s.up.device, "https://localhost:"+port+"/_matrix/push/v1/notify")
}

func TestD21_UnreadNotificationsThatNeverArrivedAreNamed(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	s.moveAway()
	for range 3 {
		s.alice.says(s.room, "Nobody gets this")
	}
	s.retriedUntil(func(r printed) bool {
		return strings.Contains(r.out, "3 notifications that the user has not read are newer")
	})
	s.doctor().want(t, 3, "Problem: notifications_missed", "Synapse waits up to an hour", "Problem: not_reachable, pusher 1")
}

func TestD22_WhatWasReadElsewhereIsNamed(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	s.moveAway()
	var out string
	s.retriedUntil(func(r printed) bool {
		out = r.out
		// Synapse forgets all that was read twice a minute, so each time there is something new.
		s.bob.read(s.room, s.alice.says(s.room, "Nobody gets this"))
		return strings.Contains(out, "Note: read_elsewhere\n")
	})
	if !regexp.MustCompile(`(^|\s)[1-9]\d* notifications? newer than the latest push were read on another device\.`).MatchString(out) || strings.Contains(out, "missed") {
		t.Errorf("it prints %s", out)
	}
}

// retriedUntil runs the command until its output meets a condition. Synapse handles events and receipts in its own time.
func (s doctorScene) retriedUntil(holds func(printed) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; {
		r := s.doctor()
		if holds(r) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("it still prints %s%s", r.out, r.err)
		}
	}
}

func TestD23_AMutedRoomIsNamedWithItsRule(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	rule := func(kind, id string, members map[string]any) {
		s.bob.call(http.MethodPut, "/pushrules/global/"+kind+"/"+url.PathEscape(id), members, nil)
	}
	muted, quiet, secret := s.alice.room("Tea", s.bob), s.alice.room("Cake", s.bob), s.alice.room("Vault", s.bob)
	s.alice.call(http.MethodPut, "/rooms/"+url.PathEscape(secret)+"/state/m.room.encryption", map[string]any{"algorithm": "m.megolm.v1.aes-sha2"}, nil)
	rule("override", muted, map[string]any{
		"actions": []any{}, "conditions": []any{map[string]any{"kind": "event_match", "key": "room_id", "pattern": muted}},
	})
	rule("room", quiet, map[string]any{"actions": []any{}})
	r := s.doctor()
	r.want(t, 0, "Note: room_muted\n", "The rule override/"+muted+` mutes the room "Tea".`,
		"Note: room_mentions_only\n", "The rule room/"+quiet+` sets the room "Cake" to mentions only.`)
	rule("room", secret, map[string]any{"actions": []any{}})
	r = s.doctor("--json")
	report := r.report(t)
	report.wantCodes(t, "mentions_invisible", "room_muted", "room_mentions_only")
	if f := report.Findings[0]; r.code != 3 || f.RoomID != secret || f.Rule != "room/"+secret || report.Homeserver.Requests > 10 {
		t.Errorf("the exit code is %d, and the report %+v", r.code, report)
	}
}

func TestD24_SendShowsTheVerdictForEachPusherOfThisGateway(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	ios := s.ofAPNs(iPhoneOf("org.example.ios", "the other phone"))
	s.register(ios)
	s.doctor("--send").want(t, 0, "Note: test_delivered, pusher 1", "Note: test_delivered, pusher 2")
	s.up.arrivals(2)
	ios.arrivals(1)
	s.up.die()
	r := s.doctor("--send")
	r.want(t, 3, "Problem: test_not_delivered, pusher ", "Note: test_delivered, pusher ")
	s.bob.wantPusher(s.up.device)
}

func TestD25_TheReportHasStableCodesAndNothingIsChanged(t *testing.T) {
	t.Parallel()
	s := newHealthyScene(t)
	s.bob.call(http.MethodPut, "/pushrules/global/override/.m.rule.master/enabled", map[string]any{"enabled": true}, nil)
	unserved := s.up.device
	unserved.AppID = "org.exmple.up"
	s.bob.push(unserved, s.gateway.reachedBySynapse())
	state := func() (all []string) {
		for _, path := range []string{"/pushers", "/pushrules/", "/joined_rooms"} {
			var raw json.RawMessage
			s.bob.call(http.MethodGet, path, nil, &raw)
			all = append(all, string(raw))
		}
		_, records := s.gateway.adminDo(http.MethodGet, "/matrix_push/rejected", "")
		_, pending := s.gateway.adminDo(http.MethodGet, "/matrix_push/outbox", "")
		return append(all, records, pending)
	}
	before := state()
	r := s.doctor("--json")
	r.want(t, 3)
	r.report(t).wantCodes(t, "app_unknown", "rules_master_on", "duplicate_pushers")
	if after := state(); !slices.Equal(before, after) {
		t.Errorf("it changed\n%q to\n%q", before, after)
	}
	s.up.wantAsked(1)
	t.Logf("%s", s.doctor().out)
}
