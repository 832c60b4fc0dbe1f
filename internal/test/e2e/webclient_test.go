package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quickStart returns Caddyfile.example, with this process's ports and folder.
func quickStart(t *testing.T) string {
	t.Helper()
	top, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(top, "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		"8080", "{port}", "8443", "{port2}", "persist_config off", "persist_config off\nadmin unix/{dir}/admin.sock\nstorage file_system {dir}/storage",
		"root examples", "root "+top+"/examples",
	).Replace(string(config))
}

// page gets a page of the web client.
func (p *process) page(url string) (*http.Response, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.expand("http://localhost:{port}/"+url), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.client(false).Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(body)
}

// Firefox and Chromium run a module only with JavaScript's type, and a stylesheet only with that of CSS.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml",
}

// linked matches the files that a page names with src and href, that a module imports, and the service worker.
var linked = regexp.MustCompile(`(?:(?:src|href)="|from '|register\(')([\w./]+)["']`)

func TestV13_TheQuickStartServesTheWebClientWithItsModules(t *testing.T) {
	t.Parallel()
	gateway := newProcess(t)
	gateway.start(quickStart(t))
	seen := map[string]bool{}
	var visit func(file string)
	visit = func(file string) {
		if seen[file] {
			return
		}
		seen[file] = true
		resp, body := gateway.page(strings.TrimSuffix(file, "index.html"))
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != contentTypes[filepath.Ext(file)] {
			t.Errorf("%s: %s, %s", file, resp.Status, resp.Header.Get("Content-Type"))
		}
		for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"} {
			if got := resp.Header.Get(name); got != value {
				t.Errorf("%s: %s is %q", file, name, got)
			}
		}
		if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'; script-src 'self';") ||
			!strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: the policy is %q", file, policy)
		}
		for _, m := range linked.FindAllStringSubmatch(body, -1) {
			if m[1] == "worker.js" { // a page registers it by its URL
				visit("worker.js")
				continue
			}
			visit(filepath.Join(filepath.Dir(file), m[1]))
		}
	}
	visit("index.html")
	if len(seen) < 15 || !seen["worker.js"] || !seen["lib/notification.js"] {
		t.Errorf("only these files are linked: %v", seen)
	}
}

func TestV13_TheQuickStartServesNothingElse(t *testing.T) {
	t.Parallel()
	gateway := newProcess(t)
	gateway.start(quickStart(t))
	for _, file := range []string{"README.md", "package.json", "test/network.js", "lib/", "..%2fsubscriber/main.go"} {
		if resp, _ := gateway.page(file); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", file, resp.Status)
		}
	}
	if resp, body := gateway.page("_matrix/push/v1/notify?app_id=org.example.web"); resp.StatusCode != http.StatusOK ||
		!strings.Contains(body, `{"webpush":{"org.example.web":{"application_server_key":"`) {
		t.Errorf("the gateway on the same site answers %s %s", resp.Status, body)
	}
	strict := strings.Replace(quickStart(t), "plaintext allow", "plaintext refuse", 1)
	if err := gateway.load(strict); err == nil || !strings.Contains(err.Error(), "never speaks TLS") {
		t.Errorf("without plaintext allow: %v", err)
	}
}
