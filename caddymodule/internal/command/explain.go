package command

import (
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// explanation prints what the gateway knows about a device.
func (i *invocation) explanation(e gateway.Explanation) {
	i.described(i.clock().Explanation(e), func(f *describe.Fact) {
		if f.Name == describe.NamePending && e.Waiting {
			f.Value += " (see `caddy matrix-push outbox list`)"
		}
	})
}
