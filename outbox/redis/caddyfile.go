package redis

import (
	"fmt"
	"math"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// UnmarshalCaddyfile reads
//
//	outbox redis <url> {
//		prefix         <prefix>
//		max_per_app    <pushes>
//		max_per_device <pushes>
//		max_size       <size>
//	}
func (b *Box) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if !d.AllArgs(&b.URL) {
		return d.ArgErr()
	}
	if b.URL == "" {
		return d.Err("the URL is empty")
	}
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		var arg string
		if !d.AllArgs(&arg) {
			return d.ArgErr()
		}
		if err := b.setOption(option, arg); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (b *Box) setOption(option, arg string) (err error) {
	switch option {
	case "prefix":
		if b.Prefix = arg; arg == "" {
			err = fmt.Errorf("%q is no prefix", arg)
		}
	case "max_per_app":
		b.MaxPerApp, err = number(arg)
	case "max_per_device":
		b.MaxPerDevice, err = number(arg)
	case "max_size":
		var size uint64
		if size, err = humanize.ParseBytes(arg); err != nil || size == 0 || size > math.MaxInt64 {
			err = fmt.Errorf("%q is not a size such as 256MiB", arg)
		}
		b.MaxSize = int64(size)
	default:
		return fmt.Errorf("outbox redis has no option %q", option)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	return nil
}

func number(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a number above 0", arg)
	}
	return n, nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Box)(nil)
