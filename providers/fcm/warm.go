package fcm

import (
	"context"
	"errors"
	"fmt"
)

// Warm gets an access token, which all apps of the credentials share, and meanwhile connects to FCM. Nothing is sent there. A token endpoint
// that fails is left alone for as long as if a push had asked it.
func (p *Provider) Warm(ctx context.Context) error {
	connected := make(chan error, 1)
	go func() { connected <- p.client.service.Connect(ctx) }()
	_, err := p.client.tokens.get(ctx)
	return errors.Join(unprepared("getting an access token", err), unprepared("connecting to FCM", <-connected))
}

// unprepared is an error of the network or of the token endpoint without what must not be shown; nil if there was none.
func unprepared(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, failed(err).Err)
}
