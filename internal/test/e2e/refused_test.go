package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// refusedLine has the fields of a warning about refused notifications.
type refusedLine struct {
	Message string `json:"msg"`
	Level   string `json:"level"`
	Reason  string `json:"reason"`
	Site    string `json:"site"`
	Status  int    `json:"status"`
	From    string `json:"from"`
	Proto   string `json:"x_forwarded_proto"`
	Path    string `json:"path"`
	Error   string `json:"error"`
	Hint    string `json:"hint"`
}

// wantRefused wants exactly these warnings, by reason and site. It returns their hints.
func (p *process) wantRefused(want map[string]refusedLine) (hints map[string]string) {
	p.t.Helper()
	got := make(map[string]refusedLine)
	read := func() bool {
		for text := range strings.Lines(p.log.text.String()) {
			var line refusedLine
			if json.Unmarshal([]byte(text), &line) == nil && line.Message == "notify request refused" {
				got[line.Reason+" "+line.Site] = line
			}
		}
		return len(got) >= len(want)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	p.log.waitFor(ctx, read)
	if n := strings.Count(p.log.String(), `"notify request refused"`); n != len(want) {
		p.t.Errorf("the log has %d warnings, want %d", n, len(want))
	}
	hints = make(map[string]string)
	for key, line := range got {
		hints[key] = line.Hint
		if line.Level != "warn" || line.Hint == "" {
			p.t.Errorf("%s: the level is %s, the hint %q", key, line.Level, line.Hint)
		}
		got[key] = refusedLine{Status: line.Status, From: line.From, Proto: line.Proto, Path: line.Path, Error: line.Error}
	}
	if !maps.Equal(got, want) {
		p.t.Errorf("the warnings are %+v\nwant %+v", got, want)
	}
	return hints
}

// P1 of the newcomer's report, and G13: four mistakes with one text, and without a line in the log.
func TestANotificationRefusedForLackOfTLSIsAWarningWithItsCause(t *testing.T) {
	t.Parallel()
	service, p := newPushServer(t), newProcess(t)
	untrusted := freePort(t)
	proxied := func(name, header string) string {
		return "handle_path /" + name + "/* {\nreverse_proxy 127.0.0.1:{port2} {\nheader_up Host " + name + ".test\n" + header + "\n}\n}\n"
	}
	var sites strings.Builder
	for _, site := range []string{"absent.test:{port2}", "says-http.test:{port2}", "right.test:{port2}", "untrusted.test:" + strconv.Itoa(untrusted)} {
		sites.WriteString("http://" + site + " {\nmatrix_push {\nplaintext trusted_proxy\n}\n}\n")
	}
	p.start(plaintextHead(service, "servers :{port2} {\ntrusted_proxies static 127.0.0.1/32\n}") +
		"https://gateway.test:{port} {\n" + certificate + "\n" + proxied("absent", "header_up -X-Forwarded-Proto") +
		proxied("says-http", "header_up X-Forwarded-Proto http") + proxied("right", "") +
		"handle_path /untrusted/* {\nreverse_proxy 127.0.0.1:" + strconv.Itoa(untrusted) + " {\nheader_up Host untrusted.test\n}\n}\n}\n" + sites.String())
	hs, endpoint := p.homeserver(), service.Endpoint("phone")
	want := make(map[string]refusedLine)
	for _, tt := range []struct{ name, proto, text string }{
		{"absent", "(absent)", "the proxy must send X-Forwarded-Proto: https, and the header is missing"},
		{"says-http", "http", "X-Forwarded-Proto must contain only https"},
		{"untrusted", "https", "X-Forwarded-Proto counts only if a trusted proxy sends it, and this sender is not one"},
	} {
		url := strings.Replace(p.url(), "/_matrix", "/"+tt.name+"/_matrix", 1)
		var r reply
		for range 3 {
			var err error
			if r, err = hs.do(http.MethodPost, url, alert("$1", upDevice(endpoint))); err != nil {
				t.Fatal(err)
			}
			wantError(t, r, http.StatusForbidden, "M_FORBIDDEN")
		}
		if !strings.Contains(r.Body, tt.text) {
			t.Errorf("%s: answered %s", tt.name, r.Body)
		}
		port := p.port2
		if tt.name == "untrusted" {
			port = untrusted
		}
		want[fmt.Sprintf("plaintext %s.test on :%d", tt.name, port)] = refusedLine{
			Status: 403, From: "127.0.0.1", Proto: tt.proto, Path: "/_matrix/push/v1/notify",
			Error: "this gateway accepts requests over TLS only: " + tt.text,
		}
	}
	hints := p.wantRefused(want)
	for site, hint := range map[string]string{
		"absent.test": "proxy_set_header X-Forwarded-Proto $scheme", "says-http.test": "report https", "untrusted.test": "add it to trusted_proxies",
	} {
		for key, got := range hints {
			if strings.Contains(key, site) && !strings.Contains(got, hint) {
				t.Errorf("%s: the hint is %q", key, got)
			}
		}
	}
	p.wantCounters(samples{`caddy_matrix_push_notifications_refused_total{reason="plaintext"}`: 9})
	if n := len(service.Messages(endpoint)); n != 0 {
		t.Errorf("%d pushes were sent", n)
	}
	r, err := hs.do(http.MethodPost, strings.Replace(p.url(), "/_matrix", "/right/_matrix", 1), alert("$1", upDevice(endpoint)))
	if err != nil {
		t.Fatal(err)
	}
	wantBody(t, r, nothingRejected)
}

// The fourth cause of P1: a request without TLS to a site that has TLS.
func TestANotificationToTheHTTPPortIsAWarning(t *testing.T) {
	t.Parallel()
	service, p := newPushServer(t), newProcess(t)
	p.start(plaintextHead(service, "http_port {port2}") + "https://gateway.test:{port} {\n" + certificate + "\nmatrix_push\n}\n")
	if err := p.set("apps/http/servers/srv0/listen", fmt.Sprintf(`":%d"`, p.port2)); err != nil {
		t.Fatal(err)
	}
	body := alert("$1", upDevice(service.Endpoint("phone")))
	whole := p.post(p.port2, "Content-Length: "+strconv.Itoa(len(body)), "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7") + body
	wantError(t, speak(t, p.port2, false, strings.Replace(whole, "POST", "GET", 1)), http.StatusForbidden, "M_FORBIDDEN") // nobody's notification
	wantError(t, speak(t, p.port2, false, whole), http.StatusForbidden, "M_FORBIDDEN")
	p.wantRefused(map[string]refusedLine{
		fmt.Sprintf("plaintext gateway.test on :%d, :%d", p.port, p.port2): {
			Status: 403, From: "127.0.0.1", Proto: "https", Path: "/_matrix/push/v1/notify",
			Error: "this gateway accepts requests over TLS only: use an https URL",
		},
	})
}

// What a homeserver, a proxy or anybody else can get wrong about the body.
func TestANotificationRefusedForItsBodyIsAWarning(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\nmax_body 2KiB\nmax_devices 2"), "matrix_push")
	hs, d := gateway.homeserver(), upDevice(service.Endpoint("phone"))
	for _, body := range []string{"<html>", `{"notification":{"devices":{}}}`, alert("$1", d, d, d), strings.Repeat(" ", 3000)} {
		for range 3 {
			if r := hs.notify(body); r.Status < 400 || r.Status > 413 {
				t.Errorf("answered %d %s", r.Status, r.Body)
			}
		}
	}
	conn := gateway.raw(t)
	conn.send(gateway.post(gateway.port, "Transfer-Encoding: chunked") + "no size\r\n\r\n")
	wantError(t, conn.answer(), http.StatusBadRequest, "M_NOT_JSON")
	site := fmt.Sprintf(" gateway.test on :%d", gateway.port)
	line := func(status int, text string) refusedLine {
		return refusedLine{Status: status, From: "127.0.0.1", Proto: "(absent)", Path: "/_matrix/push/v1/notify", Error: text}
	}
	gateway.wantRefused(map[string]refusedLine{
		"not_json" + site:   line(400, "the body is not valid JSON"),
		"bad_json" + site:   line(400, "notification.devices cannot be an object"),
		"too_large" + site:  line(413, "the body has more than 2048 bytes"),
		"incomplete" + site: line(400, "the body ended early"),
	})
}

// P6 of the newcomer's report: the recipe's site answered only its own name, and Caddy any other with an empty 200.
func TestBehindAProxyThatDoesNotPassOnTheHostANotificationIsNotLost(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(page), "### Behind nginx or HAProxy")
	_, recipe, _ = strings.Cut(recipe, "```caddyfile\n")
	recipe, _, found := strings.Cut(recipe, "```")
	if !found {
		t.Fatal("the page has no recipe")
	}
	p := newProcess(t)
	options := strings.TrimSuffix(strings.TrimPrefix(plaintextHead(newPushServer(t), ""), "{"), "}\n")
	p.start(strings.NewReplacer("{\n\tservers", "{\n"+options+"\n\tservers", ":8080", ":{port}").Replace(recipe))
	whole := filepath.Join(p.dir, "Caddyfile")
	if r := p.ask("", "check", "--config", whole); r.code != 0 || strings.Contains(r.out, "match no site") {
		t.Errorf("check of the recipe ends with %d:\n%s%s", r.code, r.out, r.err)
	}
	config, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(p.dir, "half", "Caddyfile")
	if err := errors.Join(os.Mkdir(filepath.Dir(half), 0o700), os.WriteFile(half, config[:bytes.LastIndex(config, []byte("http://:"))], 0o600)); err != nil {
		t.Fatal(err)
	}
	p.ask("", "check", "--config", half).want(t, 0, "Warning: site push.example.org on 127.0.0.1:"+strconv.Itoa(p.port)+": if a proxy does not pass on the Host")
	body := alert("$1")
	for host, want := range map[string]int{
		"push.example.org": 200, "push.example.org:8080": 200, "127.0.0.1": 421, "127.0.0.1:8080": 421, "gateway": 421, "matrix_push": 421,
	} {
		r := speak(t, p.port, false, "POST /_matrix/push/v1/notify HTTP/1.1\r\nHost: "+host+"\r\nX-Forwarded-Proto: https\r\nContent-Length: "+
			strconv.Itoa(len(body))+"\r\n\r\n"+body)
		if r.Status != want {
			t.Errorf("with the Host %s, the answer is %d %q, want %d", host, r.Status, r.Body, want)
		}
	}
}
