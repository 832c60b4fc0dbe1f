package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Caddy decodes the JSON of modules with encoding/json, whose errors name neither the app nor the option.
func TestAnErrorNamesTheAppAndTheOptionHoweverTheConfigurationComes(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(durable), "matrix_push")
	_, before := gateway.adminDo(http.MethodGet, "/config/", "")
	const app = `app "org.example.up": `
	for _, tt := range []struct{ name, option, value, want string }{
		{"a wrong duration", "wait", `"10x"`, app + `wait: "10x" is not a duration such as 5s or 1d`},
		{"a number for a word", "content", `1`, app + `content: must be a string in quotes, but it is a number`},
		{"a misspelt option", "wiat", `"5s"`, app + `there is no option "wiat": did you mean "wait"?`},
		{"an unknown provider", "provider", `{"name":"unifiedpsh"}`, app + `provider: this build has no provider "unifiedpsh": did you mean "unifiedpush"?`},
		{"a misspelt option of a provider", "provider", `{"name":"unifiedpush","prxoy":"none"}`, app + `provider "unifiedpush": there is no option "prxoy": did you mean "proxy"?`},
		{"a wrong type in a provider", "provider", `{"name":"unifiedpush","allow_private":"10.0.0.0/8"}`, app + `provider "unifiedpush": allow_private: must be a list in square brackets`},
	} {
		path := "/config/apps/matrix_push/apps/org.example.up/" + tt.option
		set := fmt.Sprint(gateway.request(http.MethodPost, path, "application/json", tt.value))
		changed := with(t, before, tt.option, tt.value)
		loaded := fmt.Sprint(gateway.request(http.MethodPost, "/load", "application/json", changed))
		gateway.write("changed.json", []byte(strings.Replace(changed, `"admin":{`, `"admin":{"disabled":true,`, 1)))
		file := filepath.Join(gateway.dir, "changed.json")
		validated, _ := gateway.command("validate", "--config", file).CombinedOutput()
		run, _ := gateway.command("run", "--config", file).CombinedOutput()
		for by, got := range map[string]string{
			"the admin API's " + path: set, "/load": loaded, "caddy validate": string(validated), "caddy run": string(run),
		} {
			if got = strings.ReplaceAll(got, `\"`, `"`); !strings.Contains(got, tt.want) {
				t.Errorf("%s, by %s: got\n%s\nwant\n%s", tt.name, by, got, tt.want)
			}
		}
	}

	if _, after := gateway.adminDo(http.MethodGet, "/config/", ""); after != before {
		t.Errorf("the configuration was\n%s\nand is\n%s", before, after)
	}
	if err := gateway.set("apps/matrix_push/apps/org.example.up/wait", `"10s"`); err != nil {
		t.Errorf("what is right is refused: %v", err)
	}
}

// with returns a configuration with another value for an option of the app org.example.up.
func with(t *testing.T, config, option, value string) string {
	t.Helper()
	var parsed map[string]any
	if err := json.Unmarshal([]byte(config), &parsed); err != nil {
		t.Fatal(err)
	}
	at := parsed
	for _, name := range []string{"apps", "matrix_push", "apps", "org.example.up"} {
		at = at[name].(map[string]any)
	}
	at[option] = json.RawMessage(value)
	changed, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return string(changed)
}
