package apns

import "context"

// Warm signs a provider token, and connects to APNs. It sends nothing: APNs has no request that is not a push. Until APNs has seen a valid
// provider token, it accepts only one push at a time on the connection, as on one that a push opened.
func (p *Provider) Warm(ctx context.Context) error {
	if _, err := p.credential.bearer(); err != nil {
		return err // no push would get as far as connecting
	}
	if err := p.client.Connect(ctx); err != nil {
		return failed(err).Err
	}
	return nil
}
