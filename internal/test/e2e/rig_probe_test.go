package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// private makes a request to the admin API whose answer may contain a secret: the pushkey of a probe. So the answer is not kept.
func (p *process) private(path, body string, answer any) {
	p.t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "admin.sock"))
		},
	}}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://127.0.0.1/matrix_push/"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(text, answer) != nil {
		p.t.Fatalf("%s is answered %s: %s, %v", path, resp.Status, text, err)
	}
}

// probe returns a new probe of the gateway.
func (p *process) probe() device {
	p.t.Helper()
	var d device
	p.private("probe", "{}", &d)
	return d
}

// sightings are what a gateway has seen of a probe.
type sightings struct {
	Doctor, Homeserver *struct {
		From, Site, TLS string
	}
}

func (p *process) seen(d device) (s sightings) {
	p.t.Helper()
	p.private("probe/seen", fmt.Sprintf(`{"pushkey":%q}`, d.Pushkey), &s)
	return s
}
