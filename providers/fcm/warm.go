package fcm

import (
	"context"
	"errors"
	"fmt"
)

// Warm gets an access token, which all apps with the credentials share, and meanwhile connects to FCM. It sends nothing there. After a
// token endpoint fails, it is not asked again for as long as after a push.
func (p *Provider) Warm(ctx context.Context) error {
	connected := make(chan error, 1)
	go func() { connected <- p.client.service.Connect(ctx) }()
	_, err := p.client.tokens.get(ctx)
	return errors.Join(unprepared("getting an access token", err), unprepared("connecting to FCM", <-connected))
}

// unprepared returns an error of the network or of the token endpoint without what must not be shown; nil if there was none.
func unprepared(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, failed(err).Err)
}
