package telemetry

import (
	"context"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// placeholders is the prefix of a request's placeholders.
const placeholders = "http.matrix_push."

// AccessLog adds to the access log how many devices a request had, and how many of them were rejected or unavailable. It also defines
// these placeholders:
//
//	{http.matrix_push.devices}      the number of devices in the request
//	{http.matrix_push.<result>}     how many of them were delivered, queued, duplicate, dropped, rejected, rejected_before, unavailable
//
// If the server keeps no access log, the fields would cost 7 allocations and 3 % of a request's time for nothing. It may be nil if it is
// unknown.
func AccessLog(ctx context.Context, server *caddyhttp.Server, devices int, results gateway.Results) {
	if server == nil || server.Logs != nil {
		if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			extra.Add(zap.Int("push_devices", devices))
			extra.Add(zap.Int("push_rejected", results[gateway.Rejected]+results[gateway.RejectedBefore]))
			extra.Add(zap.Int("push_unavailable", results[gateway.Unavailable]))
		}
	}
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(func(key string) (any, bool) {
			name, found := strings.CutPrefix(key, placeholders)
			if !found {
				return nil, false
			}
			if name == "devices" {
				return devices, true
			}
			for r, n := range results {
				if gateway.Result(r).String() == name {
					return n, true
				}
			}
			return nil, false
		})
	}
}
