// Package options reads from a Caddyfile what the options of the rejected stores have in common.
package options

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Read reads the block of a store: options that are given once, with one value.
func Read(d *caddyfile.Dispenser, set func(option, value string) error) error {
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		var value string
		if !d.AllArgs(&value) {
			return d.ArgErr()
		}
		if err := set(option, value); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// Expire reads how long a record is kept.
func Expire(value string, to *caddy.Duration) error {
	expire, err := caddy.ParseDuration(value)
	if err != nil || expire <= 0 {
		return fmt.Errorf("expire: %q is not a positive duration", value)
	}
	*to = caddy.Duration(expire)
	return nil
}

// MaxEntries reads how many records are kept.
func MaxEntries(value string, to *int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 {
		return fmt.Errorf("max_entries: %q is not a positive number", value)
	}
	*to = n
	return nil
}
