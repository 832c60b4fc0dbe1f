package apns

import "context"

// Warm signs a provider token, and connects to APNs. Nothing is sent: APNs has no request that is not a push. Until it has seen a valid
// provider token, it takes one push on the connection, as it does on one that a push has made.
func (p *Provider) Warm(ctx context.Context) error {
	if _, err := p.credential.bearer(); err != nil {
		return err // and no push would get as far as to connect
	}
	if err := p.client.Connect(ctx); err != nil {
		return failed(err).Err
	}
	return nil
}
