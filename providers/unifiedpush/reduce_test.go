package unifiedpush

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/reducetest"
)

// sent returns the messages that may be sent: in the clear, encrypted, and after the first one was too large.
func sent(n *providers.Notification, d *providers.Device) string {
	var text strings.Builder
	for _, encrypted := range []bool{false, true} {
		all := slices.Collect(bodies(n, n.Members(), d, encrypted))
		fits := func(form []byte) bool { return len(form) <= limit(encrypted) }
		if i := slices.IndexFunc(all, fits); i >= 0 {
			fmt.Fprintf(&text, "%s\n%s\n", all[i], all[len(all)-1])
		}
	}
	return text.String()
}

func TestWhatIsReducedMakesTheSameMessages(t *testing.T) {
	t.Parallel()
	reducetest.Run(t, new(Provider).Reduce, sent)
}
