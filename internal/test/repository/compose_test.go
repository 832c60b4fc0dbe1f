package repository_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// compose has the parts of a Compose file that these tests check, https://github.com/compose-spec/compose-spec/blob/main/spec.md.
type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
	Secrets  map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
	Networks map[string]struct {
		IPAM struct {
			Config []struct {
				Subnet netip.Prefix `yaml:"subnet"`
			} `yaml:"config"`
		} `yaml:"ipam"`
	} `yaml:"networks"`
}

type service struct {
	Image string `yaml:"image"`
	Build *struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	User        string            `yaml:"user"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	Secrets     []string          `yaml:"secrets"`
	Networks    attachments       `yaml:"networks"`
	Sysctls     map[string]string `yaml:"sysctls"`
	DependsOn   map[string]any    `yaml:"depends_on"`
	CapDrop     []string          `yaml:"cap_drop"`
	SecurityOpt []string          `yaml:"security_opt"`
	ReadOnly    bool              `yaml:"read_only"`
	Privileged  bool              `yaml:"privileged"`
	MemLimit    string            `yaml:"mem_limit"`
	StopGrace   string            `yaml:"stop_grace_period"`
}

// attachments are a service's networks, with its fixed address if it has one.
type attachments map[string]netip.Addr

// UnmarshalYAML reads a list of names, or an object with the names as keys.
func (a *attachments) UnmarshalYAML(decode func(any) error) error {
	*a = make(attachments)
	var names []string
	if err := decode(&names); err == nil {
		for _, name := range names {
			(*a)[name] = netip.Addr{}
		}
		return nil
	}
	var object map[string]struct {
		Address netip.Addr `yaml:"ipv4_address"`
	}
	err := decode(&object)
	for name, network := range object {
		(*a)[name] = network.Address
	}
	return err
}

const composeFolder = "examples/container"

func readCompose(t *testing.T, name string) (c compose, text string) {
	t.Helper()
	file := filepath.Join(composeFolder, name)
	unmarshalYAML(t, file, &c)
	if len(c.Services) == 0 {
		t.Fatalf("%s has no services", file)
	}
	return c, read(t, file)
}

var composeFiles = []string{"compose.yaml", "compose.redis.yaml"}

func TestComposeRefersToWhatIsThere(t *testing.T) {
	t.Parallel()
	atTop(t)
	for _, file := range composeFiles {
		c, text := readCompose(t, file)
		for name, s := range c.Services {
			for _, mount := range s.Volumes {
				source, _, _ := strings.Cut(mount, ":")
				if _, err := os.Stat(filepath.Join(composeFolder, source)); strings.HasPrefix(source, ".") && err != nil {
					t.Errorf("%s: %s: %v", file, name, err)
				}
				if _, ok := c.Volumes[source]; !ok && !strings.HasPrefix(source, ".") {
					t.Errorf("%s: %s: there is no volume %s", file, name, source)
				}
			}
			for _, secret := range s.Secrets {
				if !strings.HasPrefix(c.Secrets[secret].File, "./secrets/") {
					t.Errorf("%s: %s: the secret %s is %q", file, name, secret, c.Secrets[secret].File)
				}
			}
			for other := range s.DependsOn {
				if _, ok := c.Services[other]; !ok {
					t.Errorf("%s: %s depends on %s, which does not exist", file, name, other)
				}
			}
			for network, address := range s.Networks {
				n, ok := c.Networks[network]
				if !ok || address.IsValid() && (len(n.IPAM.Config) != 1 || !n.IPAM.Config[0].Subnet.Contains(address)) {
					t.Errorf("%s: %s has %s in the network %s", file, name, address, network)
				}
			}
		}
		// The comment at the top lists what .env must contain.
		head, _, _ := strings.Cut(text, "\nname:")
		for _, m := range regexp.MustCompile(`\$\{(\w+)(:-)?`).FindAllStringSubmatch(text, -1) {
			if m[2] == "" && !strings.Contains(head, "\n#\t"+m[1]+"=") {
				t.Errorf("the comment at the top of %s does not list %s", file, m[1])
			}
		}
	}
}

func TestComposeStartsPinnedImagesWithoutPrivileges(t *testing.T) {
	t.Parallel()
	atTop(t)
	for _, file := range composeFiles {
		c, _ := readCompose(t, file)
		for name, s := range c.Services {
			if s.Privileged || strings.HasPrefix(s.User, "0") || s.User == "root" {
				t.Errorf("%s: %s is privileged", file, name)
			}
			if s.Build == nil {
				// The operator pins Synapse's image: its digest is not known here.
				if !regexp.MustCompile(`^[a-z/]+:v?\d+\.\d+\.\d+(-\w+)?(@sha256:[0-9a-f]{64}|\$\{SYNAPSE_DIGEST:-\})$`).MatchString(s.Image) {
					t.Errorf("%s: %s has the image %s, want a version and a digest", file, name, s.Image)
				}
				continue
			}
			if path := filepath.Join(composeFolder, s.Build.Context, s.Build.Dockerfile); path != containerfile {
				t.Errorf("%s: %s is built from %s", file, name, path)
			}
			if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) || !s.ReadOnly || s.MemLimit == "" {
				t.Errorf("%s: %s may do more than it needs: %+v", file, name, s)
			}
		}
	}
}

// caddyfileOf returns the Caddyfile that a service mounts, or "".
func (s service) caddyfileOf() string {
	for _, mount := range s.Volumes {
		if source, ok := strings.CutSuffix(mount, ":/etc/caddy:ro"); ok {
			return filepath.Join(composeFolder, source, "Caddyfile")
		}
	}
	return ""
}

func TestComposeGivesEachCaddyfileWhatItAsksFor(t *testing.T) {
	t.Parallel()
	atTop(t)
	for _, file := range composeFiles {
		c, _ := readCompose(t, file)
		caddies := 0
		for name, s := range c.Services {
			if s.Build == nil {
				continue
			}
			caddies++
			caddyfile := s.caddyfileOf()
			asked := make(map[string]bool)
			for _, m := range regexp.MustCompile(`\{\$(\w+)`).FindAllStringSubmatch(read(t, caddyfile), -1) {
				asked[m[1]] = true
				if _, ok := s.Environment[m[1]]; !ok && m[1] != "SECRETS" { // the default is where Compose mounts secrets
					t.Errorf("%s: %s: %s is not in the environment", file, name, m[1])
				}
			}
			for variable := range s.Environment {
				if !asked[variable] {
					t.Errorf("%s: %s: the Caddyfile does not use %s", file, name, variable)
				}
			}
			if stop, grace := duration(t, s.StopGrace), gracePeriod(t, caddyfile); stop <= 2*grace {
				t.Errorf("%s: %s is killed after %s, but may take twice %s", file, name, stop, grace)
			}
			if !slices.ContainsFunc(s.Volumes, func(mount string) bool { return strings.HasSuffix(mount, ":/data") }) {
				t.Errorf("%s: %s has no volume for its data", file, name)
			}
			// An endpoint is the site's own only if its port is that of the request. So 443 must be 443 inside the container, too.
			published := []string{"80:80", "443:443", "443:443/udp"}
			if public := len(s.Ports) > 0; public && (!slices.Equal(s.Ports, published) || s.Sysctls["net.ipv4.ip_unprivileged_port_start"] != "0") {
				t.Errorf("%s: %s publishes %q with %q", file, name, s.Ports, s.Sysctls)
			}
			if strings.Contains(adapt(t, read(t, caddyfile)), `":443"`) != (len(s.Ports) > 0) {
				t.Errorf("%s: %s publishes %q, which is not what its sites listen on", file, name, s.Ports)
			}
		}
		if caddies == 0 {
			t.Errorf("%s has no Caddy", file)
		}
	}
}

func TestSynapseMayPushToTheGatewayAlone(t *testing.T) {
	t.Parallel()
	atTop(t)
	c, _ := readCompose(t, "compose.yaml")
	var homeserver struct {
		Allowed []netip.Prefix `yaml:"ip_range_whitelist"`
		Push    struct {
			Enabled bool `yaml:"enabled"`
		} `yaml:"push"`
	}
	unmarshalYAML(t, filepath.Join(composeFolder, "homeserver.yaml"), &homeserver)
	address := c.Services["gateway"].Networks["matrix"]
	if want := netip.PrefixFrom(address, 32); !homeserver.Push.Enabled || !slices.Equal(homeserver.Allowed, []netip.Prefix{want}) {
		t.Errorf("Synapse pushes to %v, the gateway is at %s", homeserver.Allowed, want)
	}
	synapse := c.Services["synapse"]
	if _, ok := synapse.Networks["matrix"]; !ok {
		t.Error("Synapse is not in the gateway's network")
	}
	for _, mount := range synapse.Volumes {
		if source, target, _ := strings.Cut(strings.TrimSuffix(mount, ":ro"), ":"); source == "./homeserver.yaml" &&
			!slices.Contains(synapse.Command, "--config-path="+target) {
			t.Errorf("Synapse does not read %s", target)
		}
	}
	if !strings.Contains(read(t, synapseCaddyfile(c)), "reverse_proxy @synapse synapse:8008\n") {
		t.Error("the gateway's Caddy does not serve Synapse")
	}
}

func synapseCaddyfile(c compose) string { return c.Services["gateway"].caddyfileOf() }

func TestATrialHasItsOwnAuthority(t *testing.T) {
	atTop(t)
	var trial compose
	unmarshalYAML(t, filepath.Join(composeFolder, "compose.trial.yaml"), &trial)
	c, _ := readCompose(t, "compose.yaml")
	for name := range trial.Services {
		if _, ok := c.Services[name]; !ok {
			t.Errorf("compose.yaml has no %s", name)
		}
	}
	caddyfile := read(t, synapseCaddyfile(c))
	if strings.Contains(adapt(t, caddyfile), `"internal"`) {
		t.Error("certificates are of Caddy's internal authority even without the trial's file")
	}
	for variable, value := range trial.Services["gateway"].Environment {
		t.Setenv(variable, value)
	}
	if !strings.Contains(adapt(t, caddyfile), `"module":"internal"`) {
		t.Error("certificates are not of Caddy's internal authority")
	}
	synapse := trial.Services["synapse"]
	if want := "./root.crt:" + synapse.Environment["SSL_CERT_FILE"] + ":ro"; !slices.Equal(synapse.Volumes, []string{want}) {
		t.Errorf("Synapse trusts %q, but has the volumes %q", want, synapse.Volumes)
	}
}
