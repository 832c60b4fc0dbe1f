package storetest

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// pushUser is the user at Redis servers in docs/redis.md, and sentinelUser the one at sentinels.
const (
	pushUser     = "push"
	sentinelUser = "gateway"
	password     = "password"
)

// LimitedServers are servers that give a store only the permissions in docs/redis.md. Start also returns a function with what they denied.
var LimitedServers = []struct {
	Name  string
	Start func(t testing.TB) (at redisclient.Address, denied func() []string)
}{
	{OnePrimary, func(t testing.TB) (redisclient.Address, func() []string) {
		s := redistest.Start(t, limited(t, false)...)
		return redisclient.Address{URL: strings.Replace(s.URL, "unix://", "unix://"+pushUser+":"+password+"@", 1)}, deniedAt(t, s)
	}},
	{"Sentinel", func(t testing.TB) (redisclient.Address, func() []string) {
		s := redistest.StartSentinel(t, 1, limited(t, false), "user "+sentinelUser+" on >"+password+" "+strings.Join(permissions(t, sentinelUser, false), " "))
		at := SentinelAddress(s)
		at.Sentinel.Username, at.Sentinel.Password = pushUser, password
		at.Sentinel.SentinelUsername, at.Sentinel.SentinelPassword = sentinelUser, password
		return at, deniedAt(t, append(s.Servers, s.Sentinels...)...)
	}},
	{"a cluster", func(t testing.TB) (redisclient.Address, func() []string) {
		c := redistest.StartCluster(t, limited(t, true)...)
		at := ClusterAddress(c)
		at.Cluster.Username, at.Cluster.Password = pushUser, password
		return at, deniedAt(t, c.Nodes...)
	}},
}

// limited returns the options of a server with the user.
func limited(t testing.TB, cluster bool) []string {
	t.Helper()
	return append([]string{"--user", pushUser, "on", ">" + password}, permissions(t, pushUser, cluster)...)
}

// deniedAt returns a function with the commands and keys that servers denied.
func deniedAt(t testing.TB, servers ...*redistest.Server) func() []string {
	return func() (denied []string) {
		t.Helper()
		for _, server := range servers {
			entries, err := server.Client().ACLLog(context.Background(), 100).Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				denied = append(denied, fmt.Sprint(e.Username, " ", e.Reason, " ", e.Object))
			}
		}
		return denied
	}
}

var setUser = regexp.MustCompile(`(?m)^ACL SETUSER (\S+) on >` + password + ` (.*)$`)

// permissions returns those that docs/redis.md gives to a user: in a cluster, or otherwise.
func permissions(t testing.TB, user string, cluster bool) (list []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range setUser.FindAllStringSubmatch(string(page), -1) {
		if m[1] == user && strings.Contains(m[2], "+cluster|") == cluster {
			list = strings.Fields(m[2])
		}
	}
	if list == nil {
		t.Fatalf("docs/redis.md has no permissions for %s", user)
	}
	return list
}
