package redisclient

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// Address has the options that say where Redis is. A store embeds it in its module.
type Address struct {
	// The URL of a single primary: `redis://user:password@host:6379/0`, `rediss://…` for TLS, or `unix:///path/redis.sock?db=0`. The URL may
	// set timeouts. The defaults are `?dial_timeout=1s&read_timeout=500ms`. The server must be a Redis or Valkey, version 6.2 or later, and
	// must not be a replica. Placeholders such as `{env.NAME}` or `{file./path}` are resolved while the configuration loads, here and in the
	// options below. Exactly one of `url`, `sentinel` and `cluster` is required.
	URL string `json:"url,omitempty"`

	// A primary that Redis Sentinel finds and replaces. The gateway asks the sentinels for the current primary, and follows a failover.
	Sentinel *Sentinel `json:"sentinel,omitempty"`

	// A Redis Cluster. The gateway finds the other nodes through the given ones, and follows failovers and moved slots.
	Cluster *Cluster `json:"cluster,omitempty"`

	// How to use TLS. With `sentinel` or `cluster`, the gateway uses TLS only if this option is present, even if it is empty. It then uses TLS
	// for all connections, also to the sentinels. With `url`, the URL must begin with `rediss://`. Default: the system's certificate
	// authorities, and no client certificate.
	TLS *TLS `json:"tls,omitempty"`
}

// Servers are the options that Sentinel and Cluster have in common.
type Servers struct {
	// The addresses to begin with, each as `host:port`. The gateway needs only one that answers, but give several: it finds the others
	// itself. For `sentinel`, these are the addresses of the sentinels. Required.
	Addresses []string `json:"addresses,omitempty"`

	// The user at the Redis servers. Default: Redis' default user.
	Username string `json:"username,omitempty"`

	// The password at the Redis servers. Default: none.
	Password string `json:"password,omitempty"`

	// How long the gateway waits for a connection. Default: 1s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long the gateway waits for an answer. Default: 500ms.
	ReadTimeout caddy.Duration `json:"read_timeout,omitempty"`
}

// Sentinel says which primary to use, and how to find it.
type Sentinel struct {
	// The name of the primary, as in the `sentinel monitor` line of the sentinels' configuration. Required.
	Master string `json:"master,omitempty"`

	// The number of the database. Default: 0.
	Database int `json:"database,omitempty"`

	// The user at the sentinels. Default: the sentinels' default user.
	SentinelUsername string `json:"sentinel_username,omitempty"`

	// The password at the sentinels. Default: none. The gateway doesn't send `password` to the sentinels.
	SentinelPassword string `json:"sentinel_password,omitempty"`

	Servers
}

// Cluster says how to find the nodes of a cluster.
type Cluster struct {
	Servers
}

// TLS says which certificates to use.
type TLS struct {
	// A PEM file with additional certificate authorities. The gateway trusts these as well as the system's. Default: only the system's
	// certificate authorities.
	TrustedCA string `json:"trusted_ca,omitempty"`

	// A PEM file with the gateway's certificate, for servers that ask for one (`tls-auth-clients`). The file may also contain the private key.
	// When a file is replaced, new connections use the new certificate. Default: no certificate.
	CertificateFile string `json:"certificate_file,omitempty"`

	// A PEM file with the private key of the certificate. Default: the key is in `certificate_file`.
	CertificateKeyFile string `json:"certificate_key_file,omitempty"`

	// The name that the certificates of all servers must contain. Default: the host in each server's address. Sentinels and clusters usually
	// give out IP addresses, so either the certificates contain these, or this option is needed.
	ServerName string `json:"server_name,omitempty"`
}

// resolved returns the address with its placeholders replaced, or an error that names the option. No error shows a value.
func (a Address) resolved() (Address, error) {
	var given []string
	for option, is := range map[string]bool{"url": a.URL != "", "sentinel": a.Sentinel != nil, "cluster": a.Cluster != nil} {
		if is {
			given = append(given, option)
		}
	}
	switch len(given) {
	case 0:
		return a, errors.New("url: is required, unless sentinel or cluster is set")
	case 1:
	default:
		slices.Sort(given)
		return a, fmt.Errorf("%s: cannot be combined: set only one of them", strings.Join(given, ", "))
	}
	var err error
	if a.URL, err = keyfile.Resolve(a.URL); err != nil {
		return a, fmt.Errorf("url: %w", err)
	}
	if a.Sentinel, err = a.Sentinel.resolved(); err != nil {
		return a, fmt.Errorf("sentinel: %w", err)
	}
	if a.Cluster, err = a.Cluster.resolved(); err != nil {
		return a, fmt.Errorf("cluster: %w", err)
	}
	if a.TLS, err = a.TLS.resolved(); err != nil {
		return a, fmt.Errorf("tls: %w", err)
	}
	return a, nil
}

func (s *Sentinel) resolved() (*Sentinel, error) {
	if s == nil {
		return nil, nil
	}
	r := *s
	if err := resolve([]text{
		{"master", &r.Master}, {"sentinel_username", &r.SentinelUsername}, {"sentinel_password", &r.SentinelPassword},
	}); err != nil {
		return nil, err
	}
	switch {
	case r.Master == "":
		return nil, errors.New("master: is required: write the name of the primary in the sentinels' configuration")
	case r.Database < 0:
		return nil, errors.New("database: must not be negative")
	case r.SentinelUsername != "" && r.SentinelPassword == "":
		return nil, errors.New("sentinel_password: is required with sentinel_username")
	}
	return &r, r.Servers.resolve()
}

func (c *Cluster) resolved() (*Cluster, error) {
	if c == nil {
		return nil, nil
	}
	r := *c
	return &r, r.Servers.resolve()
}

// resolve replaces the placeholders, and checks the values.
func (s *Servers) resolve() error {
	s.Addresses = slices.Clone(s.Addresses)
	options := []text{{"username", &s.Username}, {"password", &s.Password}}
	for i := range s.Addresses {
		options = append(options, text{"addresses", &s.Addresses[i]})
	}
	if err := resolve(options); err != nil {
		return err
	}
	if len(s.Addresses) == 0 {
		return errors.New("addresses: is required: write at least one host:port")
	}
	for _, address := range s.Addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" || strings.ContainsAny(address, "/@") {
			return errors.New("addresses: must each be host:port; write the user and the password in the options username and password")
		}
	}
	switch {
	case s.Username != "" && s.Password == "":
		return errors.New("password: is required with username")
	case s.DialTimeout < 0:
		return errors.New("dial_timeout: must not be negative")
	case s.ReadTimeout < 0:
		return errors.New("read_timeout: must not be negative")
	}
	return nil
}

func (t *TLS) resolved() (*TLS, error) {
	if t == nil {
		return nil, nil
	}
	r := *t
	if err := resolve([]text{
		{"trusted_ca", &r.TrustedCA},
		{"certificate_file", &r.CertificateFile},
		{"certificate_key_file", &r.CertificateKeyFile},
		{"server_name", &r.ServerName},
	}); err != nil {
		return nil, err
	}
	if r.CertificateKeyFile != "" && r.CertificateFile == "" {
		return nil, errors.New("certificate_file: is required with certificate_key_file")
	}
	return &r, nil
}

// text is an option that may have placeholders.
type text struct {
	option string
	value  *string
}

func resolve(options []text) (err error) {
	for _, o := range options {
		if *o.value, err = keyfile.Resolve(*o.value); err != nil {
			return fmt.Errorf("%s: %w", o.option, err)
		}
	}
	return nil
}
