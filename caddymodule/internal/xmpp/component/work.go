package component

import (
	"context"
	"sync"
	"time"
)

// maxWorkBytes is how many bytes of stanzas may be handled at the same time.
const maxWorkBytes = 4 << 20

// work is the stanzas that are being handled. They may come from several streams, one after the other.
type work struct {
	ctx    context.Context //nolint:containedctx // it ends what outlives a stream, and only drain cancels it
	cancel context.CancelFunc
	max    int

	mu       sync.Mutex
	n, bytes int
	draining bool
	handlers sync.WaitGroup
}

func newWork(max int) *work {
	w := &work{max: max}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// begin runs a handler in a separate goroutine. It returns false if there is no room, or if the work ends.
func (w *work) begin(size int, handle func(context.Context)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining || w.n >= w.max || w.bytes+size > maxWorkBytes {
		return false
	}
	w.n++
	w.bytes += size
	w.handlers.Go(func() {
		defer w.end(size)
		handle(w.ctx)
	})
	return true
}

func (w *work) end(size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	w.bytes -= size
}

// drain refuses all further work, and waits for the work in hand. After the grace period, it cancels the handlers' context.
func (w *work) drain(grace time.Duration) {
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
	timer := time.AfterFunc(grace, w.cancel)
	w.handlers.Wait()
	timer.Stop()
	w.cancel()
}
