package redisclient

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// go-redis writes every failed connection to standard error. Whoever wanted the connection gets the error, so this log is only for those
// who examine the connections themselves. go-redis has one log for the process.
func init() {
	redis.SetLogger(debugLog{})
}

type debugLog struct{}

// Printf implements the logger of go-redis.
func (debugLog) Printf(_ context.Context, format string, v ...any) {
	if c := caddy.Log().Named("redis").Check(zap.DebugLevel, ""); c != nil {
		c.Message = fmt.Sprintf(format, v...)
		c.Write()
	}
}
