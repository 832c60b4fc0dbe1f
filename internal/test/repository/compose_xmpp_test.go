package repository_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheComposeFileOfXMPPConnectsTheGatewayToProsody(t *testing.T) {
	t.Parallel()
	atTop(t)
	const folder, keys, certs = "examples/xmpp", "./secrets/", "./certs"
	var c compose
	unmarshalYAML(t, filepath.Join(folder, "compose.yaml"), &c)
	caddyfile := filepath.Join(folder, "caddy/Caddyfile")
	prosody := read(t, filepath.Join(folder, "prosody/prosody.cfg.lua"))
	for name, s := range c.Services {
		if s.Privileged || s.User == "root" || len(s.CapDrop) != 1 || s.MemLimit == "" {
			t.Errorf("%s may do more than it needs", name)
		}
		for _, mount := range s.Volumes {
			source, _, _ := strings.Cut(mount, ":")
			if !strings.HasPrefix(source, ".") || source == certs {
				continue
			}
			if _, err := os.Stat(filepath.Join(folder, source)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	gateway := c.Services["gateway"]
	for variable := range gateway.Environment {
		_, both := c.Services["prosody"].Environment[variable]
		if !both || !strings.Contains(prosody, "ENV_"+variable) || !strings.Contains(read(t, caddyfile), variable) {
			t.Errorf("%s is not used by both", variable)
		}
	}
	for name, secret := range c.Secrets {
		if secret.File != keys+name || !strings.Contains(read(t, caddyfile), "/"+name) {
			t.Errorf("the secret %s is at %s", name, secret.File)
		}
	}
	if !strings.Contains(adapt(t, read(t, caddyfile)), `"server":"prosody:5347"`) || !strings.Contains(prosody, "component_ports = { 5347 }") {
		t.Error("the gateway connects elsewhere than Prosody listens")
	}
	if stop, grace := duration(t, gateway.StopGrace), gracePeriod(t, caddyfile); stop <= 2*grace {
		t.Errorf("the gateway is killed after %s", stop)
	}
}
