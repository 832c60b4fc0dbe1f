package redisclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// A push waits for Redis, so a Redis that does not answer must not take long. The URL and the options can set other timeouts, for example
	// ?read_timeout=2s.
	dialTimeout = time.Second
	ioTimeout   = 500 * time.Millisecond
	poolTimeout = time.Second // how long to wait for a free connection

	// reloadEvery is how often a cluster is asked which node has which slots. It is also asked after an error.
	reloadEvery = 10 * time.Second
)

var errURL = errors.New("must be redis://user:password@host:6379/0, rediss://… (TLS) or unix:///path/redis.sock?db=0; " +
	"percent-encode special characters of a password")

// connect makes a client for an address that is resolved. It does not connect.
func connect(a Address) (*Client, error) {
	options, err := a.options()
	if err != nil {
		return nil, err
	}
	return newClient(a, options), nil
}

func newClient(a Address, options *redis.Options) *Client {
	c := &Client{address: a, options: options}
	switch {
	case a.Sentinel != nil:
		c.UniversalClient = redis.NewFailoverClient(c.failoverOptions())
		c.AddHook(dials{})
	case a.Cluster != nil:
		c.cluster = redis.NewClusterClient(c.clusterOptions())
		c.cluster.AddHook(redirections{c.cluster})
		c.UniversalClient = c.cluster
	default:
		c.UniversalClient = redis.NewClient(options)
		c.AddHook(dials{})
	}
	return c
}

// options returns the options of the connections to a server, whose address is set only with a URL.
func (a Address) options() (*redis.Options, error) {
	o := &redis.Options{}
	secure := a.TLS != nil
	if a.URL != "" {
		var err error
		if o, err = redis.ParseURL(a.URL); err != nil {
			return nil, fmt.Errorf("url: %w", errURL) // the error would quote the URL
		}
		if secure = o.TLSConfig != nil; a.TLS != nil && !secure {
			return nil, errors.New("tls: the URL is for a connection without TLS: write a URL that begins with rediss://")
		}
	}
	if s := a.servers(); s != nil {
		o.Username, o.Password = s.Username, s.Password
		o.DialTimeout, o.ReadTimeout = time.Duration(s.DialTimeout), time.Duration(s.ReadTimeout)
		o.WriteTimeout = o.ReadTimeout
		o.PoolTimeout = max(poolTimeout, o.ReadTimeout)
	}
	setDefault(&o.DialTimeout, dialTimeout)
	setDefault(&o.ReadTimeout, ioTimeout)
	setDefault(&o.WriteTimeout, ioTimeout)
	setDefault(&o.PoolTimeout, poolTimeout)
	o.ContextTimeoutEnabled = true
	// Only one layer retries, and it is not this one.
	o.MaxRetries = -1
	o.DialerRetries = 1
	// Send only the commands of this program.
	o.Protocol = 2
	o.PipelinePoolSize = -1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	d := dialer{timeout: o.DialTimeout}
	if secure {
		begin := o.TLSConfig
		if begin == nil {
			begin = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		var err error
		if d.config, err = a.TLS.certificates(begin); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	o.Dialer = d.dial
	return o, nil
}

// servers returns the options for several servers; nil with a URL.
func (a Address) servers() *Servers {
	switch {
	case a.Sentinel != nil:
		return &a.Sentinel.Servers
	case a.Cluster != nil:
		return &a.Cluster.Servers
	default:
		return nil
	}
}

func setDefault(d *time.Duration, fallback time.Duration) {
	if *d == 0 {
		*d = fallback
	}
}

func (c *Client) failoverOptions() *redis.FailoverOptions {
	o, s := c.options, c.address.Sentinel
	return &redis.FailoverOptions{
		MasterName: s.Master, SentinelAddrs: s.Addresses, SentinelUsername: s.SentinelUsername, SentinelPassword: s.SentinelPassword,
		Username: o.Username, Password: o.Password, DB: s.Database,
		Dialer: o.Dialer, DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, MaxRetries: o.MaxRetries,
		Protocol: o.Protocol, PipelinePoolSize: o.PipelinePoolSize, DisableIdentity: o.DisableIdentity,
	}
}

func (c *Client) clusterOptions() *redis.ClusterOptions {
	o := c.options
	return &redis.ClusterOptions{
		Addrs: c.address.Cluster.Addresses, Username: o.Username, Password: o.Password,
		Dialer: o.Dialer, DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, MaxRetries: o.MaxRetries,
		Protocol: o.Protocol, PipelinePoolSize: o.PipelinePoolSize, DisableIdentity: o.DisableIdentity,
		MaintNotificationsConfig: o.MaintNotificationsConfig, ClusterStateReloadInterval: reloadEvery,
		DisableRoutingPolicies: true, // a command's keys are all in one slot, and COMMAND would be one more permission
		NewClient: func(o *redis.Options) *redis.Client {
			node := redis.NewClient(o)
			node.AddHook(dials{})
			node.AddHook(nodes{})
			return node
		},
	}
}

// server returns a client for one of the servers, which the caller closes.
func (c *Client) server(address string) *redis.Client {
	o := *c.options
	o.Network, o.Addr = "tcp", address
	if c.address.Sentinel != nil {
		o.DB = c.address.Sentinel.Database
	}
	node := redis.NewClient(&o)
	node.AddHook(dials{})
	return node
}

// Location returns the kind of address, the addresses and the number of the database, without users and passwords.
func (c *Client) Location() string {
	switch a, o := c.address, c.options; {
	case a.Sentinel != nil:
		return fmt.Sprintf("sentinel %s at %s, database %d", a.Sentinel.Master, strings.Join(a.Sentinel.Addresses, ", "), a.Sentinel.Database)
	case a.Cluster != nil:
		return "cluster at " + strings.Join(a.Cluster.Addresses, ", ")
	case o.Network == "unix":
		return fmt.Sprintf("unix://%s?db=%d", o.Addr, o.DB)
	default:
		return fmt.Sprintf("%s/%d", o.Addr, o.DB)
	}
}
