package e2e

import (
	"context"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// synapseScene is a Synapse with two users, a push service of each kind, and a gateway between them.
type synapseScene struct {
	pushServices
	hs         *synapse
	alice, bob *matrixUser
	gateway    *process
}

// newSynapseScene starts a gateway that Synapse reaches over TLS. What global returns is its matrix_push block.
func newSynapseScene(t *testing.T, global func(pushServices) string) synapseScene {
	t.Helper()
	s := synapseScene{hs: theSynapse(t), pushServices: newPushServices(t), gateway: newProcess(t)}
	s.hs.certify(s.gateway)
	s.gateway.start(strings.Replace(gatewayConfig(global(s.pushServices), "log\nmatrix_push"), "https://gateway.test:", "https://localhost:", 1))
	s.alice, s.bob = s.hs.register(t, "Alice Liddell"), s.hs.register(t, "Bob the Builder")
	s.hs.tells(s.bob)
	return s
}

// url is the gateway's endpoint as Synapse knows it.
func (s synapseScene) url() string {
	return "https://localhost:" + strconv.Itoa(s.gateway.port) + "/_matrix/push/v1/notify"
}

// register registers bob's devices.
func (s synapseScene) register(devices ...handset) {
	s.t.Helper()
	for _, h := range devices {
		s.bob.push(h.device, s.url())
	}
}

// answered is a request of Synapse's in the gateway's access log.
var answered = regexp.MustCompile(`"http\.log\.access[^"]*","msg":"handled request".*"User-Agent":\["Synapse/[^"]*"\].*"status":(\d+)`)

// wantStatuses waits until the gateway has answered Synapse's requests, so often with each status and never with another.
func (s synapseScene) wantStatuses(want map[string]int) {
	s.t.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	var got map[string]int
	s.waitForLog(func(log string) bool {
		all := answered.FindAllStringSubmatch(log, -1)
		got = make(map[string]int)
		for _, m := range all {
			got[m[1]]++
		}
		return len(all) >= total
	})
	if !maps.Equal(got, want) {
		s.t.Errorf("Synapse was answered %v, want %v", got, want)
	}
}

// waitForLog waits until the gateway's log is as it has to be.
func (s synapseScene) waitForLog(condition func(log string) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if b := s.gateway.log; !b.waitFor(ctx, func() bool { return condition(b.text.String()) }) {
		s.t.Fatalf("what is waited for is not in the gateway's log:\n%s", b)
	}
}
