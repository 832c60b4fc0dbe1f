package apns

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// unrelatedKey is APNs' reason for a provider token whose key is not the one that the connection began with.
const unrelatedKey = "UnrelatedKeyIdInToken"

// reconnectEvery limits how often answers cause new connections: Apple treats a client that opens many as an attacker.
const reconnectEvery = time.Minute

// renewal remembers when an answer last caused new connections.
type renewal struct {
	mu sync.Mutex
	at time.Time
}

// since reports whether a request that began at this time may be sent again because there are new connections now. It calls renew to make
// them, unless another request just did.
func (r *renewal) since(began time.Time, renew func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.at.After(began):
		return true
	case !r.at.IsZero() && time.Since(r.at) < reconnectEvery:
		return false
	}
	renew()
	r.at = time.Now()
	return true
}

// Concurrency returns how many pushes APNs takes at the same time, by the limit that it announces on each connection.
func (p *Provider) Concurrency() int { return p.client.Concurrency() }

// failed classifies a request that got no answer. APNs refuses a bad certificate by ending the connection, and may give its reason in the
// GOAWAY that ends one. This is never about a device, so the outcome is at worst misconfigured.
func failed(err error) providers.Outcome {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return providers.Misconfigured("certificate_refused", op.Err)
	}
	o := network.Failed(err)
	if said, ok := farewell(err); ok {
		reason, _ := reasonIn([]byte(said))
		if v := apnsreason.Verdicts[reason]; v.Kind == providers.KindMisconfigured {
			o = providers.Misconfigured(v.Reason, nil)
		}
		o.Word, o.Err = providers.Word(reason), errors.New("the server ended the connection with a GOAWAY")
	}
	return o
}
