package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// The requests are those of testdata/wire: what homeservers post, for all providers, formats and kinds of notifications.
func TestQ25_APreviewIsWhatSendSends(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wire/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	w := newWire(t)
	sent := make(map[string]int) // by provider
	for _, file := range files { // one after the other, so everything that arrives belongs to this file
		name := strings.TrimSuffix(filepath.Base(file), ".golden")
		t.Run(name, func(t *testing.T) {
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			posted, _, _ := strings.Cut(string(golden), rule)
			p := w.comparePreview(t, name, w.posted(t, name, posted))
			sent[p.Provider] += len(p.Requests)
		})
	}
	for _, provider := range []string{"apns", "fcm", "unifiedpush", "webpush"} {
		if sent[provider] == 0 {
			t.Errorf("nothing was sent by %s", provider)
		}
	}
}

func TestQ25_APreviewShowsWhatASizeLimitRemoves(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for provider, test := range map[string]struct{ file, shortened, omitted string }{
		"apns":        {"apns_sygnal_message_room_content", "aps.alert.loc-args[2]", ""},
		"fcm":         {"fcm_sygnal_full", "message.data.content_body", ""},
		"webpush":     {"webpush_element_web_alert", "content.body", "content.formatted_body"},
		"unifiedpush": {"unifiedpush_fluffychat_android_content_full", "notification.content.body", "notification.content.formatted_body"},
	} {
		t.Run(provider, func(t *testing.T) {
			name := "oversize_" + provider
			golden, err := os.ReadFile("testdata/wire/" + test.file + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			posted, _, _ := strings.Cut(string(golden), rule)
			posted = strings.NewReplacer("webpush/"+test.file, "webpush/"+name, "up/"+test.file, "up/"+name).Replace(posted)
			content := map[string]string{
				"msgtype": "m.text", "body": strings.Repeat("much text ", 2000), "formatted_body": strings.Repeat("<b>much text</b> ", 2000),
			}
			p := w.comparePreview(t, name, withMember(t, w.posted(t, name, posted), "content", content))
			if p.Provider != provider || len(p.Requests) == 0 {
				t.Fatalf("the preview is of %s, with %d requests", p.Provider, len(p.Requests))
			}
			shown := p.Requests[0]
			if !slices.Contains(shown.Shortened, test.shortened) || test.omitted != "" && !slices.Contains(shown.Omitted, test.omitted) {
				t.Errorf("shortened are %q, and omitted are %q", shown.Shortened, shown.Omitted)
			}
			if shown.WholeSize < 20_000 || shown.Size > 4400 || shown.Size != len(shown.Body) {
				t.Errorf("the sizes are %d and %d, and the body has %d bytes", shown.WholeSize, shown.Size, len(shown.Body))
			}
		})
	}
}

func TestQ25_APreviewShowsTheSmallerRequestToo(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for _, file := range []string{"webpush_element_web_alert", "unifiedpush_fluffychat_android_content_full", "unifiedpush_encrypted_alert"} {
		t.Run(file, func(t *testing.T) {
			golden, err := os.ReadFile("testdata/wire/" + file + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			posted, _, _ := strings.Cut(string(golden), rule)
			body := w.posted(t, file, posted)
			for _, path := range []string{"/webpush/" + file, "/up/" + file} {
				w.service.Answer(path, providertest.Answer{Status: http.StatusRequestEntityTooLarge})
			}
			if p := w.comparePreview(t, file, body); len(p.Requests) != 2 {
				t.Errorf("%d requests are shown", len(p.Requests))
			}
		})
	}
}

// shownPreview is the admin API's answer to a preview.
type shownPreview struct {
	Provider        string
	Requests        []shownRequest
	Outcome, Reason string
	Result          string
}

// shownRequest is a request in such an answer.
type shownRequest struct {
	Method, URL, Body  string
	Headers            map[string]string
	Size               int
	WholeSize          int `json:"whole_size"`
	Omitted, Shortened []string
}

// comparePreview requires that what the admin API sends for a body is what it showed before, and returns what it showed.
func (w wire) comparePreview(t *testing.T, name, body string) (p shownPreview) {
	t.Helper()
	before := time.Now()
	w.ask(t, w.gateway.unkept(), "preview", body, &p)
	if requests := w.since(t, name, before); len(requests) > 0 {
		t.Fatalf("a preview sends %d requests", len(requests))
	}
	var trial struct{ Outcome, Reason, Result string }
	w.ask(t, w.gateway.admin, "send", body, &trial)
	after := time.Now()
	sent := w.since(t, name, before)
	if len(p.Requests) == 0 && (p.Outcome != trial.Outcome || p.Reason != trial.Reason || p.Result != trial.Result) {
		t.Errorf("the preview says %s (%s, %s), and the test ends with %s (%s, %s)",
			p.Outcome, p.Reason, p.Result, trial.Outcome, trial.Reason, trial.Result)
	}
	// A second request is made only if the first is too large.
	if len(sent) > len(p.Requests) || len(p.Requests) > 0 && (len(sent) == 0 || p.Result != "sent") {
		t.Fatalf("%d requests are made, and the preview (%s) has %d", len(sent), p.Result, len(p.Requests))
	}
	for i, r := range sent {
		p.Requests[i].compare(t, r, before, after)
	}
	return p
}

// compare requires that a request is as shown, byte for byte, except what the time and chance decide.
func (shown shownRequest) compare(t *testing.T, sent wireRequest, before, after time.Time) {
	t.Helper()
	prefix, _, masked := strings.Cut(shown.URL, "…")
	if url := sent.origin + sent.path; shown.Method != http.MethodPost || !strings.HasPrefix(url, prefix) || !masked && url != prefix {
		t.Errorf("shown is %s %s, and sent to %s", shown.Method, shown.URL, sent.path)
	}
	want := make(map[string]string)
	for name, values := range sent.header {
		if !slices.Contains([]string{"Authorization", "Content-Length", "Accept-Encoding"}, name) {
			want[strings.ToLower(name)] = headerForm(name, strings.Join(values, ", "), before, after)
		}
	}
	got := make(map[string]string)
	for name, value := range shown.Headers {
		got[name] = headerForm(http.CanonicalHeaderKey(name), value, before, after)
	}
	if !maps.Equal(got, want) {
		t.Errorf("the headers are shown as\n%q\nand are\n%q", got, want)
	}
	if got, want := bodyForm([]byte(shown.Body), before, after), bodyForm(sent.body, before, after); string(got) != string(want) {
		t.Errorf("the body is shown as\n%s\nand is\n%s", got, want)
	}
}

// ask posts a notify request to a route of the admin API.
func (w wire) ask(t *testing.T, client *http.Client, route, body string, into any) {
	t.Helper()
	resp, err := client.Post("http://127.0.0.1/matrix_push/"+route, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s is answered %d: %v", route, resp.StatusCode, err)
	}
}

// unkept returns a client of the admin API whose answers are not searched for secrets: a preview contains what it was asked about.
func (p *process) unkept() *http.Client {
	return &http.Client{Transport: p.admin.Transport.(*shown).Transport, Timeout: p.admin.Timeout}
}

// withMember returns a notify request with another member.
func withMember(t *testing.T, body, name string, value any) string {
	t.Helper()
	var request struct {
		Notification map[string]json.RawMessage `json:"notification"`
	}
	if err := json.Unmarshal([]byte(body), &request); err != nil {
		t.Fatal(err)
	}
	request.Notification[name] = mustMarshal(value)
	return string(mustMarshal(request))
}
