package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestTheAdminAPIShowsAndResetsFuses(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\nfuse 50% 10m"), "matrix_push")
	hs := gateway.homeserver()
	// Half of them are rejected, and then all. The twentieth rejection trips the fuse.
	for _, d := range []int{20, 19} {
		for range d {
			sub := service.Subscribe()
			if d == 19 {
				service.Answer(sub.Path, answerGone)
			}
			if r := hs.notify(alert("$1", webPushDevice(sub))); r.Status != http.StatusOK {
				t.Fatalf("answered %d %s", r.Status, r.Body)
			}
		}
	}
	fuse := func() (tripped *string, dead, pushkeys int) {
		t.Helper()
		status, body := gateway.adminDo(http.MethodGet, "/matrix_push/fuses", "")
		var fuses []struct {
			App            string
			Tripped        *string
			Dead, Pushkeys int
		}
		if err := json.Unmarshal([]byte(body), &fuses); status != http.StatusOK || err != nil || len(fuses) != 3 || fuses[0].App != "" {
			t.Fatalf("answered %d %s", status, body)
		}
		for _, f := range fuses {
			if f.App == "org.example.web" {
				return f.Tripped, f.Dead, f.Pushkeys
			}
		}
		t.Fatalf("org.example.web has no fuse in %s", body)
		return nil, 0, 0
	}
	if tripped, dead, pushkeys := fuse(); tripped != nil || dead != 19 || pushkeys != 39 {
		t.Errorf("before it trips: %v, %d of %d", tripped, dead, pushkeys)
	}
	for i := range 2 {
		sub := service.Subscribe()
		service.Answer(sub.Path, answerGone)
		if r := hs.notify(alert("$1", webPushDevice(sub))); (r.Status == http.StatusOK) != (i == 0) {
			t.Errorf("number %d is answered %d %s", 20+i, r.Status, r.Body)
		}
	}
	if tripped, _, _ := fuse(); tripped == nil {
		t.Error("it is not tripped")
	}
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		answer                   string
	}{
		{"another method", http.MethodDelete, "/matrix_push/fuses", "", http.StatusMethodNotAllowed, "method not allowed"},
		{"a reset by GET", http.MethodGet, "/matrix_push/fuses/reset", "", http.StatusMethodNotAllowed, "method not allowed"},
		{"no JSON", http.MethodPost, "/matrix_push/fuses/reset", "org.example.web", http.StatusBadRequest, "the body is not a JSON object"},
		{"another member", http.MethodPost, "/matrix_push/fuses/reset", `{"pattern": "org.example.web"}`, http.StatusBadRequest, "pattern"},
		{"an app that there is not", http.MethodPost, "/matrix_push/fuses/reset", `{"app": "org.example.*"}`, http.StatusNotFound, "org.example.*"},
		{"the app", http.MethodPost, "/matrix_push/fuses/reset", `{"app": "org.example.web"}`, http.StatusOK, `{"was_tripped":true}`},
		{"the app again", http.MethodPost, "/matrix_push/fuses/reset", `{"app": "org.example.web"}`, http.StatusOK, `{"was_tripped":false}`},
		{"that of unknown apps", http.MethodPost, "/matrix_push/fuses/reset", `{}`, http.StatusOK, `{"was_tripped":false}`},
	} {
		if status, answer := gateway.adminDo(tt.method, tt.path, tt.body); status != tt.status || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s: answered %d %s", tt.name, status, answer)
		}
	}
	if tripped, dead, pushkeys := fuse(); tripped != nil || dead != 0 || pushkeys != 0 {
		t.Errorf("after the reset: %v, %d of %d", tripped, dead, pushkeys)
	}

	if err := gateway.load(head + "https://gateway.test:{port} {\n" + certificate + "\nrespond 200\n}\n"); err != nil {
		t.Fatal(err)
	}
	if status, answer := gateway.adminDo(http.MethodGet, "/matrix_push/fuses", ""); status != http.StatusServiceUnavailable {
		t.Errorf("without a gateway: answered %d %s", status, answer)
	}
}
