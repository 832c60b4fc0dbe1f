package redisclient

import (
	"regexp"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

func TestM34_TheServersAreDescribedWithWhatA200IsWorth(t *testing.T) {
	t.Parallel()
	keys := []string{"{p:0}:check", "{p:1}:check", "{p:2}:check", "{p:3}:check"}
	sentinel := redistest.StartSentinel(t, 1, append([]string{"--appendfsync", "always"}, push...))
	cluster := redistest.StartCluster(t, push...)
	lazy := redistest.Start(t, "--appendfsync", "everysec")
	shy := redistest.Start(t)
	if err := shy.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-info", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		at   Address
		want *Acknowledge
		has  []string // regular expressions
	}{
		{"a single server", Address{URL: lazy.URL}, &Acknowledge{}, []string{
			`^unix:///\S+/s\?db=0$`,
			`: Redis 7\S+, master, replicas connected 0, appendonly yes, appendfsync everysec, maxmemory-policy noeviction, min-replicas-to-write 0, ` +
				`clock [+-]\d+ ms, keys p:0 p:1 p:2 p:3$`,
			`^a 200 means that the push is in the memory of the primary\. A loss of power`,
		}},
		{"sentinels", sentinelAt(sentinel.Addresses()...), &Acknowledge{}, []string{
			`^sentinel push at `, `^` + sentinel.Servers[0].Address + `: Redis 7\S+, master, replicas connected 1, `, `on the disk of the primary\. The loss of this disk`,
		}},
		{"a cluster", clusterAt(cluster.Addresses()...), &Acknowledge{Replicas: 1}, []string{
			`primaries with data of this store: [23]$`, `^` + cluster.Primary(keys[0]).Address + `: .* replicas connected 1, .*keys .*\bp:0\b`,
			`of 1 replicas\. It survives`,
		}},
		{"a user who may not ask", Address{URL: shy.URL}, &Acknowledge{}, []string{`: unknown, unknown, .*appendfsync unknown`, `add \+info and \+config\|get$`}},
		{"a store of records", Address{URL: lazy.URL}, nil, []string{`^unix:`, `: Redis 7`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			lines := loadAt(t, row.at).Describe(t.Context(), keys, row.want)
			text := strings.Join(lines, "\n")
			for _, want := range row.has {
				if !regexp.MustCompile("(?m)" + want).MatchString(text) {
					t.Errorf("no line matches %q:\n%s", want, text)
				}
			}
			if strings.Contains(text, secret) || row.want == nil && strings.Contains(text, "a 200 means") {
				t.Errorf("a line is wrong:\n%s", text)
			}
		})
	}
}
