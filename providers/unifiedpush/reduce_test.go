package unifiedpush

import (
	"fmt"
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/message"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/reducetest"
)

// sent are the messages that may be sent: in the clear, encrypted, and when the first one was too large.
func sent(n *providers.Notification, _ *providers.Device) string {
	all := slices.Collect(bodies(n))
	fitting := func(limit int) []byte {
		for _, form := range all {
			if len(form) <= limit {
				return form
			}
		}
		return nil
	}
	return fmt.Sprintf("%s\n%s\n%s", fitting(message.MaxBody), fitting(message.MaxEncrypted), smallest(all[len(all)-1]))
}

// smallest is the form that is sent at last, if the push server may get it at all.
func smallest(form []byte) []byte {
	if len(form) > message.MaxBody {
		return nil
	}
	return form
}

func TestWhatIsReducedMakesTheSameMessages(t *testing.T) {
	t.Parallel()
	reducetest.Run(t, new(Provider).Reduce, sent)
}
