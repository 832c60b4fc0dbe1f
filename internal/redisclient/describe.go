package redisclient

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// described is what a primary answers about itself. Empty values are unknown.
type described struct {
	server              *redis.Client
	shards              []string
	version, role       string
	replicas            int
	appendonly, sync    string
	policy, minReplicas string
	clock               string // how far it is ahead of this machine
	problem             error
}

// Describe asks the servers of the keys about their state, and returns it in lines for an operator. With want, the last line is what an
// accepted push is worth.
func (c *Client) Describe(ctx context.Context, keys []string, want *Acknowledge) (lines []string) {
	var servers []*described
	for _, key := range keys {
		server, err := c.On(ctx, key)
		if err != nil {
			return []string{fmt.Sprintf("the servers are unknown: %v", err)}
		}
		servers = add(servers, server, tagOf(key))
	}
	lines = []string{c.topology(len(servers))}
	for _, d := range servers {
		d.ask(ctx)
		lines = append(lines, d.line(c.primaryName(ctx, d.server), len(keys) > 1))
	}
	if want != nil && len(servers) > 0 {
		lines = append(lines, want.worth(servers))
	}
	return lines
}

func add(servers []*described, server *redis.Client, tag string) []*described {
	for _, d := range servers {
		if d.server == server {
			d.shards = append(d.shards, tag)
			return servers
		}
	}
	return append(servers, &described{server: server, shards: []string{tag}})
}

func (c *Client) topology(servers int) string {
	if c.cluster != nil {
		return fmt.Sprintf("%s; primaries with data of this store: %d", c.Location(), servers)
	}
	return c.Location()
}

// primaryName returns the address of a server.
func (c *Client) primaryName(ctx context.Context, server *redis.Client) string {
	if address := c.addressOf(ctx, server, ""); address != "" {
		return address
	}
	return c.Location()
}

var infoField = regexp.MustCompile(`(?m)^(\w+):([^\r\n]*)`)

// ask asks the server. What the user may not ask stays unknown.
func (d *described) ask(ctx context.Context) {
	text, err := d.server.Info(ctx).Result()
	if err != nil && !answered(err, "NOPERM") {
		d.problem = err
		return
	}
	info := make(map[string]string)
	for _, field := range infoField.FindAllStringSubmatch(text, -1) {
		info[field[1]] = field[2]
	}
	d.version, d.role, d.policy = info["redis_version"], info["role"], info["maxmemory_policy"]
	if v := info["valkey_version"]; v != "" {
		d.version = "Valkey " + v
	} else if d.version != "" {
		d.version = "Redis " + d.version
	}
	d.replicas = online(text)
	d.appendonly = map[string]string{"0": "no", "1": "yes"}[info["aof_enabled"]]
	d.sync = pairs(d.server.Do(ctx, "CONFIG", "GET", "append*"))["appendfsync"]
	d.minReplicas = pairs(d.server.Do(ctx, "CONFIG", "GET", "min-replicas-to-write"))["min-replicas-to-write"]
	before := time.Now()
	if now, err := d.server.Time(ctx).Result(); err == nil {
		d.clock = fmt.Sprintf("%+d ms", now.Sub(before.Add(time.Since(before)/2)).Milliseconds())
	}
}

// line describes the server.
func (d *described) line(name string, many bool) string {
	if d.problem != nil {
		return fmt.Sprintf("%s: %v", name, d.problem)
	}
	facts := []string{orUnknown(d.version), orUnknown(d.role), fmt.Sprintf("replicas connected %d", d.replicas)}
	for _, setting := range [][2]string{
		{"appendonly", d.appendonly},
		{"appendfsync", d.sync},
		{"maxmemory-policy", d.policy},
		{"min-replicas-to-write", d.minReplicas},
		{"clock", d.clock},
	} {
		facts = append(facts, setting[0]+" "+orUnknown(setting[1]))
	}
	if many {
		facts = append(facts, "keys "+strings.Join(d.shards, " "))
	}
	return name + ": " + strings.Join(facts, ", ")
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// worth returns what a 200 is worth at the worst of the servers.
func (a Acknowledge) worth(servers []*described) string {
	const means = "a 200 means that the push is "
	if a.Replicas > 0 {
		return fmt.Sprintf("%sin the memory of the primary and of %d replicas. It survives the loss of the primary if one of these takes over", means, a.Replicas)
	}
	disk, known := a.Disk, true
	if !a.Disk {
		disk = true
		for _, d := range servers {
			disk = disk && d.appendonly == "yes" && d.sync == "always"
			known = known && d.appendonly != "" && (d.appendonly == "no" || d.sync != "")
		}
	}
	switch {
	case disk:
		return means + "on the disk of the primary. The loss of this disk, or a failover, may lose it"
	case !known:
		return means + "in the memory of the primary. What it survives depends on settings that the user may not read: add +info and +config|get"
	default:
		return means + "in the memory of the primary. A loss of power, the loss of the server, or a failover may lose it"
	}
}
