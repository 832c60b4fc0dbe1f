package fcm

import (
	"fmt"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/reducetest"
)

func TestWhatIsReducedMakesTheSameData(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{maxData, maxData * 3 / 4} {
		reducetest.Run(t, func(n *providers.Notification) *providers.Notification { return reduce(n, limit) },
			func(n *providers.Notification, d *providers.Device) string {
				members, err := data(n, d, limit, nil)
				return fmt.Sprintf("%q %v", members, err)
			})
	}
}
