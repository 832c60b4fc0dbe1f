package redisclient

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// go-redis writes each connection that fails to the standard error output. Who wanted the connection gets the error, so that this is for
// those who look into the connections themselves. It has one log for the process.
func init() {
	redis.SetLogger(debugLog{})
}

type debugLog struct{}

// Printf is for go-redis.
func (debugLog) Printf(_ context.Context, format string, v ...any) {
	if c := caddy.Log().Named("redis").Check(zap.DebugLevel, ""); c != nil {
		c.Message = fmt.Sprintf(format, v...)
		c.Write()
	}
}
