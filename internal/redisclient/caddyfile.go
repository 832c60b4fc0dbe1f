package redisclient

import (
	"errors"
	"maps"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

const urlForm = "<url>, such as redis://user:{env.REDIS_PASSWORD}@host:6379/0, or the option sentinel or cluster in a block"

// Unmarshal reads a store's name, the URL, and the block. The block has the store's options and those of the address:
//
//	sentinel          <name> <host:port>...
//	cluster           <host:port>...
//	username          <user>
//	password          <password>
//	sentinel_username <user>
//	sentinel_password <password>
//	database          <number>
//	dial_timeout      <duration>
//	read_timeout      <duration>
//	tls {
//		trusted_ca       <file>
//		certificate_file <file> [<key file>]
//		server_name      <name>
//	}
func Unmarshal(d *caddyfile.Dispenser, store string, a *Address, options map[string]caddyfileopt.Option) error {
	d.Next() // the name
	if args := d.RemainingArgs(); len(args) > 1 {
		return caddyfileopt.Args(d, store, urlForm)
	} else if len(args) == 1 {
		if a.URL = args[0]; a.URL == "" {
			return d.Err(store + ": the URL is empty: write one such as redis://user:{env.REDIS_PASSWORD}@host:6379/0")
		}
	}
	var s Sentinel
	var c Cluster
	maps.Copy(options, map[string]caddyfileopt.Option{
		"sentinel":          func(d *caddyfile.Dispenser) error { return unmarshalSentinel(d, &s) },
		"cluster":           caddyfileopt.Texts(&c.Addresses, "<host:port>..."),
		"tls":               func(d *caddyfile.Dispenser) error { return unmarshalTLS(d, &a.TLS) },
		"username":          caddyfileopt.Text(&s.Username),
		"password":          caddyfileopt.Text(&s.Password),
		"sentinel_username": caddyfileopt.Text(&s.SentinelUsername),
		"sentinel_password": caddyfileopt.Text(&s.SentinelPassword),
		"database":          caddyfileopt.Once(&s.Database, database),
		"dial_timeout":      caddyfileopt.Once(&s.DialTimeout, caddyfileopt.PositiveDuration),
		"read_timeout":      caddyfileopt.Once(&s.ReadTimeout, caddyfileopt.PositiveDuration),
	})
	if err := caddyfileopt.Block(d, options, caddyfileopt.Unknown(store)); err != nil {
		return err
	}
	return a.assemble(d, store, s, c)
}

// assemble puts together what the block has. All options but the cluster's addresses are in the Sentinel.
func (a *Address) assemble(d *caddyfile.Dispenser, store string, s Sentinel, c Cluster) error {
	addresses := 0
	for _, given := range []bool{a.URL != "", s.Master != "", len(c.Addresses) > 0} {
		if given {
			addresses++
		}
	}
	switch {
	case addresses == 0:
		return caddyfileopt.Args(d, store, urlForm)
	case addresses > 1:
		return d.Errf("%s: a URL, sentinel and cluster cannot be combined: write only one of them", store)
	case s.Master != "":
		a.Sentinel = &s
		return nil
	}
	for option, given := range map[string]bool{
		"sentinel_username": s.SentinelUsername != "", "sentinel_password": s.SentinelPassword != "", "database": s.Database != 0,
	} {
		if given && len(c.Addresses) > 0 {
			return d.Errf("%s: %s is only for the option sentinel: remove it", store, option)
		}
	}
	if a.URL != "" {
		if s.isEmpty() {
			return nil
		}
		return d.Errf("%s: with a URL, write the user, the password, the database and the timeouts in the URL, not in the block", store)
	}
	c.Username, c.Password, c.DialTimeout, c.ReadTimeout = s.Username, s.Password, s.DialTimeout, s.ReadTimeout
	a.Cluster = &c
	return nil
}

func (s *Sentinel) isEmpty() bool {
	return s.Username+s.Password+s.SentinelUsername+s.SentinelPassword == "" && s.Database == 0 && s.DialTimeout+s.ReadTimeout == 0
}

func unmarshalSentinel(d *caddyfile.Dispenser, s *Sentinel) error {
	name, args := d.Val(), d.RemainingArgs()
	switch {
	case s.Master != "":
		return d.Errf("%s is given twice", name)
	case len(args) < 2 || args[0] == "":
		return caddyfileopt.Args(d, name, "<name of the primary> <host:port>...")
	}
	s.Master, s.Addresses = args[0], args[1:]
	return nil
}

func unmarshalTLS(d *caddyfile.Dispenser, t **TLS) error {
	if *t != nil {
		return caddyfileopt.Twice(d)
	}
	if err := caddyfileopt.NoArgs(d); err != nil {
		return err
	}
	*t = new(TLS)
	return caddyfileopt.Block(d, map[string]caddyfileopt.Option{
		"trusted_ca":       caddyfileopt.TextLike(&(*t).TrustedCA, "<file>"),
		"certificate_file": func(d *caddyfile.Dispenser) error { return unmarshalCertificate(d, *t) },
		"server_name":      caddyfileopt.Text(&(*t).ServerName),
	}, caddyfileopt.Unknown("tls"))
}

func unmarshalCertificate(d *caddyfile.Dispenser, t *TLS) error {
	name, args := d.Val(), d.RemainingArgs()
	switch {
	case t.CertificateFile != "":
		return d.Errf("%s is given twice", name)
	case len(args) < 1 || len(args) > 2:
		return caddyfileopt.Args(d, name, "<file> [<key file>]")
	}
	if t.CertificateFile = args[0]; len(args) == 2 {
		t.CertificateKeyFile = args[1]
	}
	return nil
}

// database also parses 0, which is the default.
var database = caddyfileopt.Parser[int]{Form: "<number>", Parse: func(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 0 {
		return 0, errors.New("is not the number of a database, such as 0")
	}
	return n, nil
}}
