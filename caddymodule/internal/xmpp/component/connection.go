package component

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

const (
	dialTime = 10 * time.Second
	// deadTime is after how long a connection ends whose other end has vanished without a word.
	deadTime = time.Minute
)

// dial connects to a server.
func dial(ctx context.Context, server string, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadTime / 4, Interval: deadTime / 4, Count: 3},
		Control:         endUnacknowledged,
	}
	conn, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil || config == nil {
		return conn, err
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(server)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}
