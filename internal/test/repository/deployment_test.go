package repository_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"go.yaml.in/yaml/v3"
)

// These tests neither build nor start what is deployed. They check that the files of examples/container and examples/systemd agree where one
// relies on another.

const (
	containerfile = "examples/container/Containerfile"
	unitFile      = "examples/systemd/caddy-matrix-push.service"
)

// instructions returns the Containerfile's instructions in order, each as its keyword and the rest.
func instructions(t *testing.T) [][2]string {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, containerfile), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var all [][2]string
	for line := range strings.Lines(text) {
		if word, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all = append(all, [2]string{word, strings.Join(strings.Fields(rest), " ")})
		}
	}
	return all
}

// instruction returns the last instruction with a keyword.
func instruction(t *testing.T, word string) string {
	t.Helper()
	for _, i := range slices.Backward(instructions(t)) {
		if i[0] == word {
			return i[1]
		}
	}
	t.Fatalf("%s has no %s", containerfile, word)
	return ""
}

func TestTheContainerIsBuiltAsXcaddyJSONSays(t *testing.T) {
	t.Parallel()
	atTop(t)
	var b builder
	if err := json.Unmarshal([]byte(read(t, "xcaddy.json")), &b); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`XCADDY_GO_BUILD_FLAGS="%s" go tool xcaddy build %s --with %s@%s=%s --output /out/usr/bin/caddy`,
		b.BuildFlags, b.CaddyVersion, b.Plugins[0].ModulePath, b.Plugins[0].Version, b.Replacements[0].New)
	if !slices.Contains(instructions(t), [2]string{"RUN", want}) {
		t.Errorf("no step is\n%s", want)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)\.`).FindStringSubmatch(read(t, "go.mod"))[1]
	if image := instructions(t)[0]; image[0] != "FROM" || !strings.HasPrefix(image[1], "golang:"+version+".") {
		t.Errorf("it is built with %q, go.mod wants Go %s", image, version)
	}
}

func TestTheContainersImagesHaveDigests(t *testing.T) {
	t.Parallel()
	atTop(t)
	for _, i := range instructions(t) {
		if i[0] == "FROM" && i[1] != "scratch" && !regexp.MustCompile(`^\S+:\S+@sha256:[0-9a-f]{64} AS \w+$`).MatchString(i[1]) {
			t.Errorf("FROM %s: a tag may change, want a digest", i[1])
		}
	}
}

func TestTheContainerHasNoRootNoShellAndAHealthCheck(t *testing.T) {
	t.Parallel()
	atTop(t)
	if last := instruction(t, "FROM"); last != "scratch" {
		t.Errorf("it starts from %s", last)
	}
	user := instruction(t, "USER")
	if !regexp.MustCompile(`^[1-9]\d+:[1-9]\d+$`).MatchString(user) {
		t.Errorf("the user is %s, want a number other than 0", user)
	}
	if !slices.Contains(instructions(t), [2]string{"COPY", "--from=build --chown=" + user + " /owned/ /"}) {
		t.Errorf("the volumes are not owned by %s", user)
	}
	if check := instruction(t, "HEALTHCHECK"); !strings.HasSuffix(check, ` CMD ["caddy", "matrix-push", "status"]`) {
		t.Errorf("the health check is %s", check)
	}
	if entrypoint := instruction(t, "ENTRYPOINT"); entrypoint != `["caddy"]` {
		t.Errorf("the entrypoint is %s", entrypoint)
	}
	var environment string
	for _, i := range instructions(t) {
		if i[0] == "ENV" {
			environment += " " + i[1]
		}
	}
	if !strings.Contains(environment, " AUTOMEMLIMIT=0.7") { // docs/deployment.md on mem_limit relies on it
		t.Errorf("the environment is%s", environment)
	}
	volumes := strings.Fields(instruction(t, "VOLUME"))
	for _, directory := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME"} {
		m := regexp.MustCompile(`\b` + directory + `=(\S+)`).FindStringSubmatch(environment)
		if m == nil || !slices.Contains(volumes, m[1]) {
			t.Errorf("%s is not a volume: %q", directory, m)
		}
	}
}

func TestTheContainersBuildFindsAllThatItNeeds(t *testing.T) {
	t.Parallel()
	atTop(t)
	ignored := strings.Fields(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(read(t, containerfile+".dockerignore"), ""))
	isIgnored := func(path string) bool {
		return slices.ContainsFunc(ignored, func(pattern string) bool {
			if anywhere, ok := strings.CutPrefix(pattern, "**/"); ok {
				return slices.ContainsFunc(strings.Split(path, "/"), func(name string) bool {
					matches, err := filepath.Match(anywhere, name)
					return err == nil && matches
				})
			}
			return path == pattern || strings.HasPrefix(path, pattern+"/")
		})
	}
	for _, i := range instructions(t) {
		if i[0] != "COPY" || strings.Contains(i[1], "--from=") {
			continue
		}
		words := strings.Fields(i[1])
		for _, source := range words[:len(words)-1] {
			if _, err := os.Stat(source); err != nil || isIgnored(source) {
				t.Errorf("%s is copied, but does not exist: %v", source, err)
			}
		}
	}
	embedded := regexp.MustCompile(`(?m)^\s*//go:embed (.+)$`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		needed := []string{path}
		for _, m := range embedded.FindAllStringSubmatch(read(t, path), -1) {
			for _, pattern := range strings.Fields(m[1]) {
				files, err := filepath.Glob(filepath.Join(filepath.Dir(path), pattern))
				if err != nil || len(files) == 0 {
					t.Errorf("%s embeds %s, which does not exist: %v", path, pattern, err)
				}
				needed = append(needed, files...)
			}
		}
		for _, file := range needed {
			if isIgnored(file) {
				t.Errorf("%s is ignored", file)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{".git", "AuthKey_ABC123DEFG.p8", "examples/container/.env", "examples/container/secrets/redis_password"} {
		if !isIgnored(secret) {
			t.Errorf("%s is copied into the build", secret)
		}
	}
}

// The environments of the Caddyfiles of examples/container, without variables that every installation leaves at their default.
func deploymentEnvironment(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"PUSH_HOST": "push.example.net", "MATRIX_HOST": "matrix.example.net", "OPERATOR": "ops@example.net"} {
		t.Setenv(name, value)
	}
}

func TestDeploymentsValidateWithTheirEnvironment(t *testing.T) {
	atTop(t)
	deploymentEnvironment(t)
	caddyfiles := make(map[string]string)
	for _, file := range []string{
		"examples/container/single/Caddyfile", "examples/container/several/Caddyfile", "examples/container/front/Caddyfile", "examples/systemd/Caddyfile",
	} {
		text := read(t, file)
		caddyfiles[file] = text
		if hosts := hostsOf(t, text); file != "examples/systemd/Caddyfile" && !slices.Contains(hosts, "push.example.net") {
			t.Errorf("%s has the sites %q", file, hosts)
		}
		// The part for Apple devices is a comment, because not everyone has a key.
		commented := regexp.MustCompile(`(?m)^(\t+)# ((?:\t|app org.example.ios|\}$).*)$`)
		if with := commented.ReplaceAllString(text, "$1$2"); with != text {
			with = strings.ReplaceAll(with, "/run/secrets/apns_key", "{env.CREDENTIALS_DIRECTORY}/AuthKey_ABC123DEFG.p8")
			if !strings.Contains(with, "\n\t\tapp org.example.ios {\n") {
				t.Errorf("%s: the commented part is not an app for Apple devices:\n%s", file, with)
			}
			caddyfiles[file+" with a key"] = with
		}
	}
	if n := len(caddyfiles); n != 6 {
		t.Errorf("there are %d configurations", n)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", ".")
	validateAll(t, caddyfiles)
}

// hostsOf returns the hosts of a Caddyfile's sites.
func hostsOf(t *testing.T, caddyfile string) (hosts []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`"host":\["([^"]+)"\]`).FindAllStringSubmatch(adapt(t, caddyfile), -1) {
		hosts = append(hosts, m[1])
	}
	return hosts
}

func adapt(t *testing.T, caddyfile string) string {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	return string(adapted)
}

// gracePeriod returns the grace_period of a Caddyfile.
func gracePeriod(t *testing.T, caddyfile string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\tgrace_period (\S+)$`).FindStringSubmatch(read(t, caddyfile))
	if m == nil {
		t.Fatalf("%s has no grace_period", caddyfile)
	}
	return duration(t, m[1])
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheUnitSuitsItsCaddyfile(t *testing.T) {
	t.Parallel()
	atTop(t)
	unit := read(t, unitFile)
	setting := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `=(.+)$`).FindStringSubmatch(unit)
		if m == nil {
			t.Fatalf("the unit has no %s", name)
		}
		return m[1]
	}
	if stop, grace := duration(t, setting("TimeoutStopSec")), gracePeriod(t, "examples/systemd/Caddyfile"); stop <= 2*grace {
		t.Errorf("it is killed after %s, but may take twice %s", stop, grace)
	}
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		if want := name + "=%S/" + setting("StateDirectory"); !strings.Contains(unit, want) {
			t.Errorf("the unit has no %s", want)
		}
	}
	for _, name := range []string{"ExecStart", "ExecReload"} {
		if !strings.Contains(setting(name), " --config /etc/matrix-push/Caddyfile") {
			t.Errorf("%s is %s", name, setting(name))
		}
	}
	// With --environ, which the unit of Caddy's packages has, the environment is in the journal.
	if strings.Contains(setting("ExecStart"), "--environ") {
		t.Error("the environment is logged")
	}
	var key string
	if m := regexp.MustCompile(`key_file \{env\.CREDENTIALS_DIRECTORY\}/(\S+)`).FindStringSubmatch(read(t, "examples/systemd/Caddyfile")); m != nil {
		key = m[1]
	}
	if key == "" || !strings.Contains(unit, "\n#LoadCredential="+key+":") {
		t.Errorf("the unit does not load the Caddyfile's credential %q", key)
	}
}

// unmarshalYAML reads those parts of a file that v has fields for.
func unmarshalYAML(t *testing.T, file string, v any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, file)), v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
