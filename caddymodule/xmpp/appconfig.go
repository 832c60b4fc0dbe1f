package xmpp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// provision checks the options of an app, and adds it to its component.
func (c *AppConfig) provision(s *service, app *gateway.App) error {
	if c == nil {
		c = new(AppConfig)
	}
	t := &target{appID: app.Pattern, counts: c.Counts}
	if err := c.provisionPayload(t, app); err != nil {
		return err
	}
	switch t.unimportant = c.Unimportant; c.Unimportant {
	case "":
		t.unimportant = unimportantLow
	case unimportantPush, unimportantLow, unimportantDrop:
	default:
		return fmt.Errorf("unimportant: %s is not valid: use push, low or drop", nearest.Shown(c.Unimportant))
	}
	if err := c.provisionContent(t, app); err != nil {
		return err
	}
	s.apps[t.appID] = t
	return c.provisionWays(s, t)
}

// provisionPayload checks what each push contains.
func (c *AppConfig) provisionPayload(t *target, app *gateway.App) error {
	if app.ProviderName == relayProvider {
		return fmt.Errorf("its provider is %s, which is only for Push 2.0: use it with push2", relayProvider)
	}
	if len(c.Payload) > 0 && (json.Unmarshal(c.Payload, &t.payload) != nil || t.payload == nil) {
		return errors.New(`payload: must be a JSON object, such as {"aps":{"alert":{"title":"New message"}}}`)
	}
	if app.ProviderName != "apns" {
		return nil
	}
	var aps struct {
		Alert json.RawMessage `json:"alert"`
	}
	if json.Unmarshal(t.payload["aps"], &aps) != nil || isEmpty(aps.Alert) {
		return errors.New(`payload: aps.alert is missing: write {"aps":{"alert":{"title":"New message"},"mutable-content":1,"sound":"default"}}, ` +
			"because iOS delays or drops pushes without an alert")
	}
	return nil
}

// isEmpty reports whether an alert shows nothing.
func isEmpty(alert json.RawMessage) bool {
	return slices.Contains([]string{"", "null", `""`, "{}"}, string(bytes.TrimSpace(alert)))
}

func (c *AppConfig) provisionContent(t *target, app *gateway.App) error {
	switch c.Content {
	case "", contentWake:
		return nil
	case contentFull:
	default:
		return fmt.Errorf("content: %s is not valid: use wake or full", nearest.Shown(c.Content))
	}
	leaves := app.Content
	if leaves == providers.ContentDefault {
		leaves = app.DefaultContent(new(providers.Device))
	}
	if leaves != providers.ContentFull {
		return errors.New("content: full sends nothing more, because the app of matrix_push has content event_id_only: write content full there, too")
	}
	t.content = true
	return nil
}

// provisionWays adds the ways in which devices register.
func (c *AppConfig) provisionWays(s *service, t *target) error {
	if len(c.Modules) == 0 && !c.Default && len(c.Register) == 0 {
		return errors.New("no device can register: add module or default for devices whose node is their token, or register")
	}
	for _, module := range c.Modules {
		switch {
		case strings.TrimSpace(module) == "":
			return errors.New("modules: a name is empty: write the value of the client's pushModule")
		case s.modules[module] != nil:
			return fmt.Errorf("modules: %s is given twice: remove it from one app", nearest.Shown(module))
		}
		s.modules[module] = t
	}
	if c.Default {
		if s.fallback != nil {
			return fmt.Errorf("default: the app %q is the default, too: remove default from one of them", s.fallback.appID)
		}
		s.fallback = t
	}
	for _, service := range c.Register {
		switch {
		case !slices.Contains(services, service):
			return fmt.Errorf("register: there is no push service %s%s", nearest.Shown(service), nearest.Instead(service, "push services", services))
		case s.registers[service] != nil:
			return fmt.Errorf("register: %s belongs to the app %q, too: remove it from one of them", service, s.registers[service].appID)
		}
		s.registers[service] = t
	}
	return nil
}
