package apns

import (
	"fmt"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/reducetest"
)

func TestWhatIsReducedMakesTheSamePayloads(t *testing.T) {
	t.Parallel()
	for limit, o := range map[int]options{4096: {}, 5120: {threadRoom: true}} {
		reducetest.Run(t, func(n *providers.Notification) *providers.Notification { return reduce(n, limit) },
			func(n *providers.Notification, d *providers.Device) string {
				m, err := build(n, d, o, limit)
				return fmt.Sprintf("%s %t %v", m.payload, m.background, err)
			})
	}
}
