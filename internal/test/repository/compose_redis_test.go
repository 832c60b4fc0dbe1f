package repository_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheGatewaysBelieveTheFrontAndShareOneRedis(t *testing.T) {
	t.Parallel()
	atTop(t)
	c, _ := readCompose(t, "compose.redis.yaml")
	front, redis := c.Services["front"], c.Services["redis"]
	var upstreams []string
	if m := regexp.MustCompile(`reverse_proxy (.+) \{`).FindStringSubmatch(read(t, front.caddyfileOf())); m != nil {
		upstreams = strings.Fields(m[1])
	}
	if len(upstreams) < 2 {
		t.Fatalf("the front has the upstreams %q", upstreams)
	}
	for _, upstream := range upstreams {
		name, port, _ := strings.Cut(upstream, ":")
		gateway, ok := c.Services[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		caddyfile := read(t, gateway.caddyfileOf())
		if !strings.Contains(adapt(t, caddyfile), `"listen":[":`+port+`"]`) {
			t.Errorf("%s does not listen on %s", name, port)
		}
		if want := "trusted_proxies static " + front.Networks["push"].String() + "\n"; !strings.Contains(caddyfile, want) {
			t.Errorf("%s has no %s", name, want)
		}
		for _, what := range []string{"outbox", "rejected"} {
			if !regexp.MustCompile(`(?m)^\t\t` + what + ` redis redis://push:\{file\.\{\$SECRETS:/run/secrets\}/redis_password\}@redis:6379/0$`).MatchString(caddyfile) {
				t.Errorf("%s has no %s on Redis", name, what)
			}
		}
		if !slices.Equal(gateway.Secrets, []string{"redis_password"}) || !slices.Equal(redis.Secrets, gateway.Secrets) {
			t.Errorf("%s has the secrets %q, Redis %q", name, gateway.Secrets, redis.Secrets)
		}
		for _, network := range []string{"push", "store"} {
			if _, ok := gateway.Networks[network]; !ok {
				t.Errorf("%s is not in the network %s", name, network)
			}
		}
		if !slices.Contains(gateway.Volumes, "data:/data") {
			t.Errorf("%s does not share the VAPID key", name)
		}
	}
	if _, ok := redis.Networks["store"]; !ok || len(redis.Networks) != 1 {
		t.Errorf("Redis is in %v", redis.Networks)
	}
}

func TestRedisIsToldWhatItsPageSays(t *testing.T) {
	t.Parallel()
	atTop(t)
	page := read(t, "docs/redis.md")
	conf := read(t, filepath.Join(composeFolder, "redis/redis.conf"))
	_, block, _ := strings.Cut(page, "## Required Redis settings\n\n```\n")
	block, _, _ = strings.Cut(block, "```")
	for setting := range strings.Lines(block) {
		if !strings.Contains(conf, "\n"+setting) {
			t.Errorf("redis.conf has no %s", setting)
		}
	}
	// The health check's user has no password. With protected mode, Redis would therefore refuse the gateways, too.
	if !strings.Contains(conf, "\nuser default on nopass resetkeys -@all +ping\n") || !strings.Contains(conf, "\nprotected-mode no\n") {
		t.Error("redis.conf allows the health check more than it needs, or refuses the gateways")
	}
	acl := regexp.MustCompile(`(?m)^ACL SETUSER push on >password (.+)$`).FindStringSubmatch(page)
	c, _ := readCompose(t, "compose.redis.yaml")
	command := strings.Join(c.Services["redis"].Command, " ")
	if block == "" || acl == nil || !strings.Contains(command, "user push on >$$password "+acl[1]+"\n") {
		t.Errorf("the page has %q, the command is %s", acl, command)
	}
}
