// Package caddyfileopt reads the options of Caddyfile blocks. An unknown option is an error, and so is one that is given twice. Errors name
// the option and show how to write it.
package caddyfileopt

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// Option reads the option at the dispenser's position, with its arguments.
type Option = func(d *caddyfile.Dispenser) error

// Otherwise reads an option that is not one of a block's own, whose names it gets.
type Otherwise = func(d *caddyfile.Dispenser, own []string) error

// Module reads a module's name, which has no arguments, and its block.
func Module(d *caddyfile.Dispenser, options map[string]Option, otherwise Otherwise) error {
	d.Next() // the name
	if err := NoArgs(d); err != nil {
		return err
	}
	return Block(d, options, otherwise)
}

// NoArgs returns an error if the word at the dispenser's position has arguments.
func NoArgs(d *caddyfile.Dispenser) error {
	name := d.Val()
	if !d.NextArg() {
		return nil
	}
	return d.Errf("%s: wrong argument count: write only the word %s, and the options in a block in braces", name, name)
}

// Block reads the options of a block by their names, and all others with otherwise.
func Block(d *caddyfile.Dispenser, options map[string]Option, otherwise Otherwise) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		read, ok := options[d.Val()]
		var err error
		if ok {
			err = read(d)
		} else {
			err = otherwise(d, slices.Collect(maps.Keys(options)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Unknown refuses an option that a module does not have.
func Unknown(module string) Otherwise {
	return func(d *caddyfile.Dispenser, own []string) error { return NoOption(d, module, "", own) }
}

// NoOption returns the error for an option that a block does not have. The remark stands behind the option.
func NoOption(d *caddyfile.Dispenser, block, remark string, own []string) error {
	return d.Errf("%s has no option %s%s%s", block, nearest.Shown(d.Val()), remark, nearest.Instead(d.Val(), "options", own))
}

// Embedded reads the options of an embedded struct, and refuses all others. The struct's options have the same names in JSON.
func Embedded(module string, embedded interface {
	UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error)
},
) Otherwise {
	return func(d *caddyfile.Dispenser, own []string) error {
		known, err := embedded.UnmarshalOption(d)
		if err == nil && !known {
			return Unknown(module)(d, append(own, jsonopt.Names(reflect.TypeOf(embedded))...))
		}
		return err
	}
}

// Twice returns the error for an option that was given before.
func Twice(d *caddyfile.Dispenser) error { return d.Errf("%s is given twice", d.Val()) }

// Args returns the error for an option with too many or too few arguments. The form is how to write the arguments.
func Args(d *caddyfile.Dispenser, option, form string) error {
	return d.Errf("%s: wrong argument count: write %s %s", option, option, form)
}

// Once reads an option's only argument. It takes a value other than zero to mean that the option was given before, so no parser must return
// zero.
func Once[T comparable](into *T, p Parser[T]) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		var none T
		if *into != none {
			return Twice(d)
		}
		var arg string
		if !d.AllArgs(&arg) {
			return Args(d, name, p.Form)
		}
		v, err := p.Parse(arg)
		if err != nil {
			return d.WrapErr(fmt.Errorf("%s: %w", name, err))
		}
		*into = v
		return nil
	}
}

// Text reads an option's only argument, any text that is not empty.
func Text(into *string) Option {
	return TextLike(into, "<value>, in quotes if the value contains a space")
}

// TextLike reads an option's only argument, any text that is not empty. Errors show its form.
func TextLike(into *string, form string) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *into != "" {
			return Twice(d)
		}
		if !d.AllArgs(into) || *into == "" {
			return Args(d, name, form)
		}
		return nil
	}
}

// Texts reads an option that has any number of arguments, but at least one. Each time the option is given adds to the list.
func Texts(into *[]string, form string) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 {
			return Args(d, name, form)
		}
		*into = append(*into, args...)
		return nil
	}
}
