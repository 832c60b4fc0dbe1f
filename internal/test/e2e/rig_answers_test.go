package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const nothingRejected = `{"rejected":[]}`

// wantBody wants a 200 with exactly this body.
func wantBody(t *testing.T, r reply, body string) {
	t.Helper()
	if r.Status != http.StatusOK || r.Body != body {
		t.Errorf("answered %d %s, want 200 %s", r.Status, r.Body, body)
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("the answer is %q", ct)
	}
}

// wantError wants an answer in the shape of Matrix's errors.
func wantError(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.ErrCode != code {
		t.Errorf("answered %d %s, want %d %s", r.Status, r.Body, status, code)
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(r.Body), &fields); err != nil || len(fields) != 2 || fields["error"] == "" {
		t.Errorf("%s is not an error with errcode and error", r.Body)
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("the answer is %q", ct)
	}
}

// rejecting returns the answer that rejects these pushkeys.
func rejecting(pushkeys ...string) string {
	b, err := json.Marshal(map[string]any{"rejected": pushkeys})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// wantUnavailable wants the answer that makes a homeserver repeat the request.
func wantUnavailable(t *testing.T, r reply) {
	t.Helper()
	wantError(t, r, http.StatusServiceUnavailable, "M_UNKNOWN")
	if after, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || after < 1 {
		t.Errorf("Retry-After is %q", r.Header.Get("Retry-After"))
	}
}

// wantLater wants an answer that makes the homeserver repeat the notification.
func wantLater(t *testing.T, r reply) {
	t.Helper()
	wantError(t, r, http.StatusServiceUnavailable, "M_UNKNOWN")
	if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q", r.Header.Get("Retry-After"))
	}
	if strings.Contains(r.Body, "rejected") {
		t.Errorf("%s mentions rejected pushkeys", r.Body)
	}
}

// wantMisconfigured wants the answer for a misconfiguration, which has a long Retry-After.
func wantMisconfigured(t *testing.T, r reply) {
	t.Helper()
	wantLater(t, r)
	if after, _ := strconv.Atoi(r.Header.Get("Retry-After")); after < 60 {
		t.Errorf("Retry-After is %d", after)
	}
}

// rejectingVerbatim returns the answer that rejects a pushkey that needs no escapes in JSON.
func rejectingVerbatim(pushkey string) string { return `{"rejected":["` + pushkey + `"]}` }

// whole returns an answer without its date. Each of the pushkeys is replaced by the same word, as if all had the same length.
func whole(r reply, pushkeys ...string) string {
	header := maps.Clone(r.Header)
	delete(header, "Date")
	if r.Header.Get("Content-Length") == strconv.Itoa(len(r.Body)) {
		header["Content-Length"] = []string{"that of the body"}
	}
	var lines []string
	for name, values := range header {
		lines = append(lines, fmt.Sprintf("%s: %q", name, values))
	}
	slices.Sort(lines)
	body := r.Body
	for _, pushkey := range pushkeys {
		body = strings.ReplaceAll(body, pushkey, "the pushkey")
	}
	return fmt.Sprintf("%d\n%s\n%s", r.Status, strings.Join(lines, "\n"), body)
}
