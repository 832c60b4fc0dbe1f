package gateway

import (
	"context"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// lookup asks the rejected store once about all devices, and returns their marks. Those for which it does not answer in time are let
// through: the push service would reject them again. keys and marks have room for all devices.
func (g *Gateway) lookup(deliveries []delivery, keys []rejected.Key, marks []rejected.Mark) []rejected.Mark {
	asked := false
	for i := range deliveries {
		keys[i] = deliveries[i].key
		asked = asked || deliveries[i].app != nil && !deliveries[i].decided
	}
	if store, ok := g.Rejected.(rejected.Prompt); !asked || ok && store.LookupNow(keys, marks) {
		return marks
	}
	ctx, cancel := context.WithTimeout(context.Background(), rejected.AskTime)
	defer cancel()
	answer := make(chan []rejected.Mark, 1)
	go func() { answer <- g.marks(ctx, keys) }() // a store that hangs may ignore its context
	select {
	case marks := <-answer:
		return marks
	case <-ctx.Done():
		g.Observer.StoreFailed("looking up rejections", ctx.Err())
		return make([]rejected.Mark, len(keys))
	}
}

func (g *Gateway) marks(ctx context.Context, keys []rejected.Key) []rejected.Mark {
	marks := make([]rejected.Mark, len(keys))
	if err := g.Rejected.Lookup(ctx, keys, marks); err != nil && ctx.Err() == nil {
		g.Observer.StoreFailed("looking up rejections", err)
	}
	return marks
}
