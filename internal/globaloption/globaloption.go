// Package globaloption parses global options of a Caddyfile that configure one of Caddy's apps.
package globaloption

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// Parser returns the parser of a global option that configures one of Caddy's apps. A second block adds to the first.
func Parser(name string, newApp func() caddyfile.Unmarshaler) httpcaddyfile.UnmarshalGlobalFunc {
	return func(d *caddyfile.Dispenser, existing any) (any, error) {
		app := newApp()
		if before, ok := existing.(httpcaddyfile.App); ok {
			if err := json.Unmarshal(before.Value, app); err != nil {
				return nil, err
			}
		}
		if err := app.UnmarshalCaddyfile(d); err != nil {
			return nil, err
		}
		return httpcaddyfile.App{Name: name, Value: caddyconfig.JSON(app, nil)}, nil
	}
}
