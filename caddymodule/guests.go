package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// guests is a kind of module that the gateway loads. Anybody can add one to a build.
type guests struct {
	noun, plural, namespace string
}

var (
	pushProviders = guests{"provider", "providers", "matrix_push.providers"}
	stores        = guests{"store", "stores", "matrix_push.rejected"}
	outboxes      = guests{"outbox", "outboxes", "matrix_push.outbox"}
)

func (k guests) id(name string) string { return k.namespace + "." + name }

func (k guests) has(name string) bool {
	_, err := caddy.GetModule(k.id(name))
	return err == nil
}

// names returns the names of the modules in this build, sorted.
func (k guests) names() (names []string) {
	for _, info := range caddy.GetModules(k.namespace) {
		names = append(names, info.ID.Name())
	}
	return names
}

// check returns an error if this build has no module of that name. The error lists the modules that it has.
func (k guests) check(name string) error {
	if k.has(name) {
		return nil
	}
	return fmt.Errorf("this build has no %s %s%s", k.noun, nearest.Shown(name), nearest.Instead(name, k.plural, k.names()))
}

// there returns the end of an error that lists the modules in this build.
func (k guests) there() string { return nearest.Instead("", k.plural, k.names()) }

// nameIn returns the name of the module in a configuration, which must be in this build.
func (k guests) nameIn(raw json.RawMessage) (string, error) {
	var guest struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(raw, &guest); err != nil {
		return "", errors.New(`must be an object with a name, such as {"name": "…"}`)
	}
	if guest.Name == "" {
		return "", fmt.Errorf("name is missing%s", k.there())
	}
	return guest.Name, k.check(guest.Name)
}

// try decodes the configuration of a module into a new one that is not used. Its errors name the option, other than Caddy's.
func (k guests) try(raw json.RawMessage) error {
	name, err := k.nameIn(raw)
	if err != nil {
		return err
	}
	return guarded(func() error {
		info, err := caddy.GetModule(k.id(name))
		if err != nil {
			return err
		}
		module := info.New()
		if err := decodeGuest(raw, &module); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// decodeGuest decodes the options of a module beside its name.
func decodeGuest(raw json.RawMessage, into *caddy.Module) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return errors.New("the options are not an object")
	}
	delete(members, "name")
	options, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return jsonopt.Decode(options, into)
}
