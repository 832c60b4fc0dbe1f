package apns

import (
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
)

func BenchmarkBuild(b *testing.B) {
	b.Run("event_id_only", func(b *testing.B) { benchmark(b, notice().Reduced(), elementX) })
	b.Run("full", func(b *testing.B) { benchmark(b, notice(), elementX) })
	b.Run("badge", func(b *testing.B) { benchmark(b, count(4, 1), elementX) })
}

// BenchmarkBuildLongMessage guards against Sygnal's algorithm, which takes seconds for these messages.
func BenchmarkBuildLongMessage(b *testing.B) {
	for name, characters := range map[string]string{"plain": "lorem ipsum ", "multi-byte": "żółć € 😀 ", "escaped": `\"\n\u00e9 `} {
		body := strings.Repeat(characters, 60_000/len(characters))
		b.Run(name, func(b *testing.B) {
			benchmark(b, notice(content(`{"msgtype": "m.text", "body": "`+body+`"}`)), elementX)
		})
	}
}

func benchmark(b *testing.B, n *providers.Notification, data string) {
	known, err := readonce.New[*defaults]()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := build(n, deviceWith(data), options{known: known}, 4096); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeviceToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := deviceToken("M6mTGEXExqRBq/9Ff7ZkCJUQ6Kn6hWJ1vLxbZ2t2fIU="); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUsable measures what the gateway does first for each device: it must not allocate.
func BenchmarkUsable(b *testing.B) {
	for name, token := range map[string]string{
		"base64": "M6mTGEXExqRBq/9Ff7ZkCJUQ6Kn6hWJ1vLxbZ2t2fIU=", "hexadecimal": strings.Repeat("0a", 32),
	} {
		b.Run(name, func(b *testing.B) {
			p, d := new(Provider), providers.Device{Pushkey: token}
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Usable(&d, providers.Site{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
