// Package caddyfileopt reads the options of Caddyfile blocks. An unknown option is an error, and so is one that is given twice.
package caddyfileopt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Option reads the option at the dispenser's position, with its arguments.
type Option = func(d *caddyfile.Dispenser) error

// Module reads a module's name, which has no arguments, and its block.
func Module(d *caddyfile.Dispenser, options map[string]Option, otherwise Option) error {
	d.Next() // the name
	if d.NextArg() {
		return d.ArgErr()
	}
	return Block(d, options, otherwise)
}

// Block reads the options of a block by their names, and all others with otherwise.
func Block(d *caddyfile.Dispenser, options map[string]Option, otherwise Option) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		read, ok := options[d.Val()]
		if !ok {
			read = otherwise
		}
		if err := read(d); err != nil {
			return err
		}
	}
	return nil
}

// Unknown refuses an option that a module does not have.
func Unknown(module string) Option {
	return func(d *caddyfile.Dispenser) error { return d.Errf("%s has no option %q", module, d.Val()) }
}

// Embedded reads the options of an embedded struct, and refuses all others.
func Embedded(module string, embedded interface {
	UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error)
},
) Option {
	return func(d *caddyfile.Dispenser) error {
		known, err := embedded.UnmarshalOption(d)
		if err == nil && !known {
			return Unknown(module)(d)
		}
		return err
	}
}

// Twice returns the error for an option that was given before.
func Twice(d *caddyfile.Dispenser) error { return d.Errf("%s is given twice", d.Val()) }

// Once reads an option's only argument. It takes a value other than zero to mean that the option was given before, so parse must not return
// zero.
func Once[T comparable](into *T, parse func(string) (T, error)) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		var none T
		if *into != none {
			return Twice(d)
		}
		var arg string
		if !d.AllArgs(&arg) {
			return d.ArgErr()
		}
		v, err := parse(arg)
		if err != nil {
			return d.WrapErr(fmt.Errorf("%s: %w", name, err))
		}
		*into = v
		return nil
	}
}

// Text reads an option's only argument, any text that is not empty.
func Text(into *string) Option {
	return func(d *caddyfile.Dispenser) error {
		if *into != "" {
			return Twice(d)
		}
		if !d.AllArgs(into) || *into == "" {
			return d.ArgErr()
		}
		return nil
	}
}

// Word parses an option that is one of a few words.
func Word(words ...string) func(string) (string, error) {
	return func(arg string) (string, error) {
		for _, word := range words {
			if arg == word {
				return word, nil
			}
		}
		last := len(words) - 1
		return "", fmt.Errorf("%q is not valid: use %s or %s", arg, strings.Join(words[:last], ", "), words[last])
	}
}

// Positive parses an option that is a number above 0.
func Positive(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is not a positive number", arg)
	}
	return n, nil
}

// Duration parses an option that is a duration, which may be 0.
func Duration(arg string) (*caddy.Duration, error) {
	parsed, err := caddy.ParseDuration(arg)
	if err != nil || parsed < 0 {
		return nil, fmt.Errorf("%q is not a duration", arg)
	}
	return new(caddy.Duration(parsed)), nil
}

// PositiveDuration parses an option that is a duration above 0.
func PositiveDuration(arg string) (caddy.Duration, error) {
	parsed, err := caddy.ParseDuration(arg)
	if err != nil || parsed <= 0 {
		return 0, fmt.Errorf("%q is not a positive duration", arg)
	}
	return caddy.Duration(parsed), nil
}
