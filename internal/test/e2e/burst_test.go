package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// After the first answer, APNs takes 1,000 pushes on each connection. The gateway has all of a burst in progress at the same moment, on no
// more connections than that takes. Otherwise, a push service that takes a second would make a burst take several.
func TestABurstIsSentAtOnceOnAsFewConnectionsAsItTakes(t *testing.T) {
	t.Parallel()
	for pushes, connections := range map[int]int{1000: 1, 2000: 2} {
		t.Run(fmt.Sprint(pushes), func(t *testing.T) {
			t.Parallel()
			let := make(chan struct{})
			release := sync.OnceFunc(func() { close(let) })
			a := newApple(t, func(o *apnstest.Options) { o.OneUntilAuthenticated = true })
			a.Answer("", apnstest.Answer{}, apnstest.Answer{Until: let, Times: -1})
			gateway := startGateway(t, stateless+a.app("org.example.ios", "", "wait 25s"), "matrix_push")
			hs := &homeserver{t: t, client: gateway.client(true), url: gateway.url()}
			phones := iPhones("org.example.ios", pushes)
			var group sync.WaitGroup
			defer group.Wait()
			defer release()
			for some := range slices.Chunk(phones, 100) { // with a request for each phone, the handshakes of TLS take most of the time
				group.Go(func() {
					if r, err := hs.try(alert("$1", some...)); err != nil || r.Status != http.StatusOK {
						t.Errorf("answered %d %s, %v", r.Status, r.Body, err)
					}
				})
			}
			a.await(t, func() bool { return a.Held() == pushes-1 })
			release()
			group.Wait()
			if n := a.Connections(); n != connections {
				t.Errorf("%d connections were made, want %d", n, connections)
			}
			if n := len(a.Pushes()); n != pushes {
				t.Errorf("%d pushes arrived", n)
			}
		})
	}
}
