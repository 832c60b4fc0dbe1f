package webpush

import (
	"fmt"
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/reducetest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// sent are the messages that may be sent: the first that fits, and the last.
func sent(n *providers.Notification, d *providers.Device) string {
	all := formsOf(n, defaultsIn(clientjson.DefaultPayloadValue(d, nil)))
	fits := func(form []byte) bool { return len(form) <= webpushmessage.MaxEncrypted }
	i := slices.IndexFunc(all, fits)
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("%s\n%s", all[i], all[len(all)-1])
}

func TestWhatIsReducedMakesTheSameMessages(t *testing.T) {
	t.Parallel()
	reducetest.Run(t, new(Provider).Reduce, sent)
}
