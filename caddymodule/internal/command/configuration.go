package command

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// configuration is what check reads from the JSON itself, as the provisioned modules don't show it.
type configuration struct {
	providers map[string]map[string]json.RawMessage // by app
	// handlers mount the gateway on sites.
	handlers []struct {
		Plaintext string `json:"plaintext"`
	}
}

func readConfig(input []byte) (*configuration, error) {
	var config struct {
		Apps struct {
			HTTP   json.RawMessage `json:"http"`
			Matrix struct {
				Apps map[string]struct {
					Provider map[string]json.RawMessage `json:"provider"`
				} `json:"apps"`
			} `json:"matrix_push"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(input, &config); err != nil {
		return nil, err
	}
	c := &configuration{providers: make(map[string]map[string]json.RawMessage)}
	for pattern, app := range config.Apps.Matrix.Apps {
		c.providers[pattern] = app.Provider
	}
	return c, c.collect(config.Apps.HTTP)
}

// collect finds the gateway's handlers at any depth.
func (c *configuration) collect(raw json.RawMessage) error {
	var list []json.RawMessage
	var object map[string]json.RawMessage
	switch trimmed := strings.TrimSpace(string(raw)); {
	case strings.HasPrefix(trimmed, "["):
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
	case strings.HasPrefix(trimmed, "{"):
		if err := json.Unmarshal(raw, &object); err != nil {
			return err
		}
		if string(object["handler"]) == `"matrix_push"` {
			var h struct {
				Plaintext string `json:"plaintext"`
			}
			if err := json.Unmarshal(raw, &h); err != nil {
				return err
			}
			c.handlers = append(c.handlers, h)
			return nil
		}
		list = slices.Collect(maps.Values(object))
	}
	for _, member := range list {
		if err := c.collect(member); err != nil {
			return err
		}
	}
	return nil
}

// warnings returns warnings about the sites.
func (c *configuration) warnings() (warnings []string) {
	if len(c.handlers) == 0 {
		warnings = append(warnings, "no site has the directive matrix_push: homeservers cannot reach the gateway")
	}
	for _, h := range c.handlers {
		if h.Plaintext == "allow" {
			return append(warnings, "plaintext allow: a site accepts notifications without TLS from anyone, and anyone on the network path can read them")
		}
	}
	return warnings
}

// shown are the providers' options that determine where pushes go. Others may be secret.
var shown = []string{"environment", "topic", "push_type", "project_id", "vapid_subject", "endpoint"}

// settings returns the shown options of an app, as configured.
func (c *configuration) settings(app string) map[string]string {
	settings := make(map[string]string)
	for _, name := range shown {
		var value string
		if json.Unmarshal(c.providers[app][name], &value) != nil || value == "" {
			continue
		}
		if name == "endpoint" {
			parsed, err := url.Parse(value)
			if err != nil || parsed.Host == "" {
				continue
			}
			value = parsed.Host // without a password
		}
		settings[name] = value
	}
	return settings
}

func settingsText(settings map[string]string) string {
	var texts []string
	for _, name := range shown {
		if value, ok := settings[name]; ok {
			texts = append(texts, name+" "+value)
		}
	}
	return strings.Join(texts, ", ")
}
