package caddymodule

import (
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// guarded loads a module, which may be a third party's: what it panics with is an error that says where, and not the end of Caddy. The value
// may be a secret.
func guarded(load func() error) (err error) {
	if caught := gateway.Catch("load", func() { err = load() }); caught != nil {
		where := ""
		if len(caught.Stack) > 0 {
			where = " at " + caught.Stack[0]
		}
		return fmt.Errorf("the module panicked with a %s%s: report it to its author", caught.Type, where)
	}
	return err
}
