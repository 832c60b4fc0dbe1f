package e2e

import (
	"context"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// synapseScene is a Synapse with two users, a push service of each kind, and a gateway between them.
type synapseScene struct {
	pushServices
	hs         *synapse
	alice, bob *matrixUser
	config     string
	gateway    *process
}

// newSynapseScene starts a gateway that Synapse reaches over TLS. global returns its matrix_push block.
func newSynapseScene(t *testing.T, global func(pushServices) string, change ...func(*apnstest.Options)) synapseScene {
	t.Helper()
	return newSynapseSceneAt(t, theSynapse(t), global, change...)
}

// newSynapseSceneAt is like newSynapseScene, for another Synapse.
func newSynapseSceneAt(t *testing.T, hs *synapse, global func(pushServices) string, change ...func(*apnstest.Options)) synapseScene {
	t.Helper()
	s := synapseScene{hs: hs, pushServices: newPushServices(t, change...), gateway: newProcess(t)}
	s.config = strings.Replace(gatewayConfig(global(s.pushServices), "log\nmatrix_push"), "https://gateway.test:", "https://localhost:", 1)
	s.hs.certify(s.gateway)
	s.gateway.start(s.config)
	s.alice, s.bob = s.hs.register(t, "Alice Liddell"), s.hs.register(t, "Bob the Builder")
	s.hs.tells(s.bob)
	return s
}

// reachedBySynapse returns a gateway's endpoint with a name that Synapse can resolve.
func (p *process) reachedBySynapse() string {
	return "https://localhost:" + strconv.Itoa(p.port) + "/_matrix/push/v1/notify"
}

// register registers bob's devices.
func (s synapseScene) register(devices ...handset) {
	s.t.Helper()
	for _, h := range devices {
		s.bob.push(h.device, s.gateway.reachedBySynapse())
	}
}

// answered matches a request of Synapse in the gateway's access log.
var answered = regexp.MustCompile(`"http\.log\.access[^"]*","msg":"handled request".*"User-Agent":\["Synapse/[^"]*"\].*"status":(\d+)`)

// statuses returns how often Synapse was answered with each status.
func statuses(log string) map[string]int {
	all := make(map[string]int)
	for _, m := range answered.FindAllStringSubmatch(log, -1) {
		all[m[1]]++
	}
	return all
}

// wantStatuses waits until Synapse was answered this often with each of these statuses, and with no others.
func (s synapseScene) wantStatuses(want map[string]int) {
	s.t.Helper()
	var got map[string]int
	s.waitForLog(func(log string) bool {
		got = statuses(log)
		return sum(got) >= sum(want)
	})
	if !maps.Equal(got, want) {
		s.t.Errorf("Synapse was answered %v, want %v", got, want)
	}
}

func sum(counts map[string]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// waitForLog waits until the gateway's log meets a condition.
func (s synapseScene) waitForLog(condition func(log string) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if b := s.gateway.log; !b.waitFor(ctx, func() bool { return condition(b.text.String()) }) {
		s.t.Fatalf("the gateway's log does not meet the condition:\n%s", b)
	}
}

// wantFailure waits until Synapse could not push to a device.
func (s synapseScene) wantFailure(h handset, why string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	failure := regexp.MustCompile("Failed to push data to " + regexp.QuoteMeta(s.bob.id+"/"+h.AppID+"/") + ".*" + why)
	if b := s.hs.log; !b.waitFor(ctx, func() bool { return failure.Match(b.text.Bytes()) }) {
		s.t.Fatalf("Synapse does not log that it cannot push: %s", why)
	}
}
