package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// withProbe adds a probe to an examination.
func withProbe(g *probeGateways) func(*Options) { return func(o *Options) { o.Prober = g } }

func TestAProbeThatIsNotPossibleSaysWhy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.server = "continuwuity"
	r := s.examine(withProbe(newProbeGateways(t, "this")))
	r.wantText(t, "probe_needs_second_account", "continuwuity sends no unread counts")
	s = newScene(t)
	s.pushers = nil
	s.examine(withProbe(newProbeGateways(t, "this"))).wantCodes(t, "no_pusher", "probe_without_pusher")
}

func TestWithoutAProbeNothingIsProbed(t *testing.T) {
	t.Parallel()
	if r := newScene(t).examine(); r.Reached != nil {
		t.Errorf("the result is %+v", r.Reached)
	}
}

// The homeserver of a scene changes nothing.
func TestAProbeThatFailsIsAFindingAndNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	r := newScene(t).examine(withProbe(newProbeGateways(t, "this")))
	r.wantCodes(t, "probe_failed", "probe_left")
	r.wantText(t, "probe_failed", "registering a temporary pusher: ")
	r.wantText(t, "probe_left", "the pusher with the app_id org.matrix-push.doctor")
}

func TestTheResultOfAProbeNamesTheLikelyCausesInOrder(t *testing.T) {
	t.Parallel()
	seen := &gateway.Sighting{At: time.Now(), From: "203.0.113.7", TLS: "TLS 1.3"}
	const private = "push.example.org has the private address 10.0.0.7, which Synapse refuses unless ip_range_whitelist lists it; the homeserver's DNS"
	for _, tt := range []struct {
		name  string
		reach Reach
		// address is that of the URL's host, and server the homeserver's.
		address, server string
		code            string
		want            []string
	}{
		{"reached", Reach{Place: Here, Homeserver: seen, Seconds: 0.42}, "", "", "homeserver_reaches_gateway", []string{
			"came from 203.0.113.7 over TLS 1.3 after 0.4 s, and arrived at this gateway",
		}},
		{"reached behind a proxy", Reach{Place: Nowhere, Homeserver: &gateway.Sighting{From: "192.0.2.1"}}, "", "", "homeserver_reaches_gateway", []string{
			"came from 192.0.2.1 without TLS",
		}},
		{"reached at another gateway", Reach{Place: Group, Homeserver: seen, byGroup: true}, "", "", "homeserver_reaches_gateway", []string{
			"arrived at another gateway",
		}},
		{"blocked", Reach{Place: Here}, "10.0.0.7", "Synapse/1.163.2", "homeserver_does_not_reach", []string{
			"does not reach https://push.example.org, although this machine does. No notification arrived within 10s.", private, "push.enabled",
		}},
		{"not reached", Reach{Place: Group}, "", "Synapse/1.163.2", "homeserver_does_not_reach", []string{
			"order: the homeserver's DNS must know push.example.org; it must trust the certificate; no firewall",
		}},
		{"a homeserver that may send no counts", Reach{Place: Here}, "10.0.0.7", "nginx", "homeserver_does_not_reach", []string{
			"nginx may send no unread counts: add --from-token-file", "which a homeserver may refuse (in Synapse, ip_range_whitelist must list it",
		}},
		{"down", Reach{Place: Nowhere, Why: "connection refused"}, "", "", "nobody_reaches", []string{": connection refused. No"}},
		{"another gateway", Reach{Place: Elsewhere, Why: "it is another"}, "", "", "probe_not_accepted", []string{
			"Another gateway answers at https://push.example.org: it is another.",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.addresses["push.example.org"] = tt.address
			tt.reach.URL = "https://push.example.org/_matrix/push/v1/notify"
			x := &examination{
				Options: Options{Transport: s, Resolve: s.resolve}, ctx: t.Context(), report: &Report{Homeserver: Server{Server: tt.server}},
				answers: make(map[string]*answer),
			}
			x.judgeProbes([]*Reach{&tt.reach})
			x.report.wantCodes(t, tt.code)
			for _, want := range tt.want {
				x.report.wantText(t, tt.code, want)
			}
		})
	}
}

func TestAPusherThatAnEarlierProbeLeftIsNoProblem(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pushers = append(s.pushers, strings.ReplaceAll(s.pushers[0], "org.example.up", gateway.ProbeAppID))
	s.pushers[1] = strings.Replace(s.pushers[1], canary, canary+"2", 1)
	s.examine().wantCodes(t, "probe_pusher_left")
}

func TestAnInterruptionNamesAllThatIsLeft(t *testing.T) {
	t.Parallel()
	if err := interrupted(nil); !strings.Contains(err.Error(), "nothing is left") {
		t.Error(err)
	}
	err := interrupted([]leftOver{{"the pusher", "Run it again."}, {"the room !a:hs.test", "Leave it."}})
	if want := "interrupted. The probe could not remove the pusher. Run it again. It could not remove the room !a:hs.test. Leave it."; err.Error() != want {
		t.Errorf("the error is %q", err)
	}
}
