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

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push"
	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

// builder has the fields of xcaddy.Builder that xcaddy.json may have, https://pkg.go.dev/github.com/caddyserver/xcaddy#Builder.
type builder struct {
	CaddyVersion string `json:"caddy_version"`
	Plugins      []struct {
		ModulePath string `json:"module_path"`
		Version    string `json:"version"`
	} `json:"plugins"`
	Replacements []struct {
		Old string `json:"old"`
		New string `json:"new"`
	} `json:"replacements"`
	BuildFlags string `json:"build_flags"`
}

func TestXcaddyJSONBuildsThisCheckout(t *testing.T) {
	t.Parallel()
	atTop(t)
	file, err := os.Open("xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var b builder
	if err := decoder.Decode(&b); err != nil {
		t.Fatal(err)
	}
	module, caddyVersion := goMod(t)
	if b.CaddyVersion != caddyVersion {
		t.Errorf("caddy_version is %s, go.mod requires %s", b.CaddyVersion, caddyVersion)
	}
	// Any version would do, since the module is replaced. Without a version, Go would look for published ones.
	if len(b.Plugins) != 1 || b.Plugins[0].ModulePath != module || b.Plugins[0].Version != "v0.0.0" {
		t.Errorf("plugins are %+v, want only %s, of this checkout", b.Plugins, module)
	}
	if len(b.Replacements) != 1 || b.Replacements[0].Old != module || b.Replacements[0].New != "." {
		t.Errorf("replacements are %+v, want %s replaced by this folder", b.Replacements, module)
	}
}

// goMod returns the module's path and the version of Caddy that it requires.
func goMod(t *testing.T) (module, caddyVersion string) {
	t.Helper()
	text := read(t, "go.mod")
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("go.mod has no line %q", pattern)
		}
		return m[1]
	}
	return find(`(?m)^module (\S+)$`), find(`(?m)^\s*(?:require )?github\.com/caddyserver/caddy/v2 (\S+)$`)
}

func TestImportingTheRootPlugsInEveryModule(t *testing.T) {
	t.Parallel()
	atTop(t)
	var ids []string
	for _, id := range caddy.Modules() {
		if strings.Contains(id, "matrix_push") || strings.Contains(id, "xmpp_push") {
			ids = append(ids, id)
		}
	}
	want := []string{
		"admin.api.matrix_push",
		"admin.api.xmpp_push",
		"http.handlers.matrix_push",
		"matrix_push",
		"matrix_push.outbox.file",
		"matrix_push.outbox.off",
		"matrix_push.outbox.redis",
		"matrix_push.providers.apns",
		"matrix_push.providers.fcm",
		"matrix_push.providers.unifiedpush",
		"matrix_push.providers.webpush",
		"matrix_push.providers.webpush_relay",
		"matrix_push.rejected.file",
		"matrix_push.rejected.memory",
		"matrix_push.rejected.redis",
		"xmpp_push",
	}
	if !slices.Equal(ids, want) {
		t.Errorf("got  %q\nwant %q", ids, want)
	}
}

func TestExamplesAdaptAndValidate(t *testing.T) {
	atTop(t)
	caddyfiles := map[string]string{"Caddyfile.example": read(t, "Caddyfile.example")}
	err := filepath.WalkDir("examples", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "Caddyfile") {
			caddyfiles[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	validateAll(t, caddyfiles)
}

func TestTheDocumentationsConfigurationsAdaptAndValidate(t *testing.T) {
	atTop(t)
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```caddyfile\n(.*?)```")
	caddyfiles := make(map[string]string)
	for _, file := range append(files, "README.md") {
		for i, match := range block.FindAllStringSubmatch(read(t, file), -1) {
			caddyfiles[fmt.Sprint(file, " ", i+1)] = match[1]
		}
	}
	if len(caddyfiles) < 10 {
		t.Errorf("there are only %d configurations", len(caddyfiles))
	}
	validateAll(t, caddyfiles)
}

// validateAll validates Caddyfiles in a folder with the credentials that they name.
func validateAll(t *testing.T, caddyfiles map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("SECRETS", ".")
	t.Setenv("XMPP_SECRET", "secret")
	_, key := apnstest.NewKey(t)
	certificate, certificateKey := apnstest.NewAuthority(t).Certificate(t,
		[]string{"org.example.ios.enterprise"}, []string{"production"}, time.Now().Add(365*24*time.Hour))
	serviceAccount := read(t, fcmtest.New(t, fcmtest.Options{}).ServiceAccount(t))
	for name, content := range map[string]string{
		"AuthKey_ABC123DEFG.p8": string(key), "push.pem": string(certificate), "push.key": string(certificateKey),
		"service-account.json": serviceAccount, "redis_password": "secret", "sentinel_password": "secret",
		"redis-ca.pem": string(certificate), "gateway.pem": string(certificate), "gateway.key": string(certificateKey),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, caddyfile := range caddyfiles {
		t.Run(name, func(t *testing.T) { validate(t, caddyfile) })
	}
}

// validate does the same as `caddy adapt --validate`. It fails for a warning, such as that the file is not formatted.
func validate(t *testing.T, caddyfile string) {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("%s", w)
	}
	var config caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	config.StorageRaw = fmt.Appendf(nil, `{"module":"file_system","root":%q}`, t.TempDir())
	if err := caddy.Validate(&config); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
