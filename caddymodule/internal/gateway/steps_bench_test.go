package gateway

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// The steps of a request, one by one.

func BenchmarkDecode(b *testing.B) {
	for _, bench := range []struct{ name, body string }{
		{"synapse", synapseBody},
		{"badge", badge(device("key"))},
		{"devices", event("$e", devices(100)...)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			body := []byte(bench.body)
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := Decode(body, 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHistory counts a push, also while other goroutines count pushes of the same app, and reads the histories of all apps.
func BenchmarkHistory(b *testing.B) {
	apps := make([]*App, 200)
	for i := range apps {
		apps[i] = appFor(fmt.Sprint("app", i), always(providers.Delivered()))
	}
	r := newRig(b, apps...)
	now := r.Now()
	count := func() { apps[0].history.count("delivered", 1, r.Shared.minute(now)) }
	b.Run("count", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			count()
		}
	})
	b.Run("count_crowded", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				count()
			}
		})
	})
	b.Run("read_200_apps", func(b *testing.B) {
		for b.Loop() {
			r.History()
		}
	})
}

func devices(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = device(fmt.Sprint("key", i))
	}
	return list
}

// BenchmarkRoute is by the number of patterns. An app with an exact name is found at once, and the last pattern only after all others.
func BenchmarkRoute(b *testing.B) {
	for _, patterns := range []int{1, 10, 100, 1000} {
		apps := []*App{{Pattern: "org.example.ios"}, {Pattern: "*"}}
		for i := range patterns {
			apps = append(apps, &App{Pattern: fmt.Sprintf("org.example.app%d.*", i)})
		}
		router, err := NewRouter(apps)
		if err != nil {
			b.Fatal(err)
		}
		for _, bench := range []struct{ name, appID, want string }{
			{"exact", "org.example.ios", "org.example.ios"},
			{"a_pattern", fmt.Sprintf("org.example.app%d.prod", patterns/2), fmt.Sprintf("org.example.app%d.*", patterns/2)},
			{"the_last_pattern", "im.vector.app.android", "*"},
		} {
			b.Run(fmt.Sprintf("%d/%s", patterns, bench.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if app := router.Route(bench.appID); app.Pattern != bench.want {
						b.Fatalf("routed to %s", app.Pattern)
					}
				}
			})
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, bench := range []struct {
		name    string
		outcome providers.Outcome
		want    Result
	}{
		{"delivered", providers.Delivered(), Delivered},
		{"rejected", providers.Outcome{Kind: providers.KindRejected, Reason: "unregistered", Since: time.Now()}, Rejected},
		{"retry", providers.Retry("http_503", time.Minute, errors.New("busy")), Queued},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := decide(bench.outcome, circumstances{pushkeyTS: 1_700_000_000_000, proven: true, store: done, outbox: done})
				if d.result != bench.want {
					b.Fatalf("decided %s", d.result)
				}
			}
		})
	}
}
