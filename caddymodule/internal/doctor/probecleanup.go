package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
)

const (
	// cleanUpTime bounds the whole removal, and removalTries how often each part is tried, with a pause between two tries.
	cleanUpTime  = 30 * time.Second
	removalTries = 3
	removalPause = time.Second
)

// cleanUp removes everything that the probe made, even after the caller's context has ended. It tries everything, whatever fails, and
// notes what is left.
func (p *probing) cleanUp(ctx context.Context) {
	if !p.pushing {
		return // nothing was made
	}
	p.tell("Removing the temporary pusher and the room…")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	p.removePushers(ctx)
	switch {
	case p.room != "":
		p.removeRoom(ctx, p.user, "the account")
		if p.other != nil {
			p.removeRoom(ctx, p.other, "the second account")
		}
	case p.asked:
		p.left = append(p.left, leftOver{
			fmt.Sprintf("a room named %q, if the homeserver made it: its answer was lost", probeRoom), "If you see the room in a client, leave it.",
		})
	}
}

// removePushers removes all pushers that may have been registered, even if the homeserver's answer was lost.
func (p *probing) removePushers(ctx context.Context) {
	var failed error
	for _, r := range p.reaches {
		if r.Place == Elsewhere {
			continue
		}
		err := p.persist(ctx, func() error { return p.user.DeletePusher(ctx, gateway.ProbeAppID, r.nonce) })
		if err != nil {
			failed = err
		}
	}
	if failed != nil {
		p.left = append(p.left, leftOver{
			fmt.Sprintf("the pusher with the app_id %s: %v", gateway.ProbeAppID, failed),
			"Run the command again, which removes it. Otherwise, the homeserver removes it with its next notification after ten minutes.",
		})
	}
}

// removeRoom has an account leave and forget the room. An account can forget only a room that it has left.
func (p *probing) removeRoom(ctx context.Context, account *homeserver.Client, name string) {
	err := p.persist(ctx, func() error {
		leave := account.Leave(ctx, p.room)
		forget := account.Forget(ctx, p.room)
		if forget != nil && leave != nil {
			return leave
		}
		return forget
	})
	if err != nil {
		p.left = append(p.left, leftOver{
			fmt.Sprintf("the room %s from %s: %v", p.room, name, err),
			fmt.Sprintf("In a client of %s, leave the room %q.", name, probeRoom),
		})
	}
}

// persist tries something several times.
func (p *probing) persist(ctx context.Context, try func() error) (err error) {
	for n := range removalTries {
		if n > 0 {
			select {
			case <-time.After(min(removalPause, p.patience)):
			case <-ctx.Done():
				return err
			}
		}
		if err = try(); err == nil {
			return nil
		}
	}
	return err
}
