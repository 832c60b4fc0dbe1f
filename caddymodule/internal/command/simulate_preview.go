package command

import (
	"encoding/json"
	"maps"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// previewed is what the running gateway would send for a request.
type previewed struct {
	answer gateway.Preview
	raw    json.RawMessage
}

// askPreview asks the gateway what it would send for a request.
func (i *invocation) askPreview(request map[string]any, site string) (*previewed, error) {
	n := make(map[string]any)
	for _, name := range admin.TestMembers() {
		n[name] = nil // so the gateway doesn't add it
	}
	given, _ := request["notification"].(map[string]any)
	maps.Copy(n, given)
	body := map[string]any{"notification": n}
	if site != "" {
		body["site"] = site
	}
	c, err := i.client()
	if err != nil {
		return nil, err
	}
	p := new(previewed)
	p.raw, err = c.Post(i.ctx, "preview", body, adminclient.Patience, &p.answer)
	return p, err
}
