package ui

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestV38_WhatCannotBeUndoneIsAskedFirst(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	b.submit("/outbox/drop", url.Values{"app": {"org.example.up"}}).want(t, http.StatusOK, "Drop all pending pushes of the app org.example.up?", "are lost", `name="confirmed" value="yes"`)
	b.submit("/outbox/drop", url.Values{"app": {"org.example.up"}, "hash": {hashA}}).want(t, http.StatusOK, "Drop the pending pushes of "+hashA+"?")
	b.submit("/outbox/drop", url.Values{"app": {"org.example.up"}, "hash": {hashA}, "id": {"7"}}).want(t, http.StatusOK, "Drop the push 7?")
	b.submit("/fuse/reset", url.Values{"app": {"org.example.up"}}).want(t, http.StatusOK, "Reset the fuse of the app org.example.up?", "Fix the cause first.")
	b.submit("/fuse/reset", nil).want(t, http.StatusOK, "Reset the fuse for devices of unknown apps?")
	if posts := api.posts(); len(posts) > 0 {
		t.Errorf("the gateway got %q", posts)
	}
}

func TestV38_AnActionIsDoneOnceAndShown(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	for _, tt := range []struct {
		path         string
		fields       url.Values
		page, notice string
		request      string
	}{
		{"/pushkeys/forget", url.Values{"hash": {hashA}}, "/pushkeys", "The gateway forgot the rejection of " + hashA, `rejected/forget {"hash":"` + hashA + `"}`},
		{"/outbox/retry", url.Values{"app": {"org.example.up"}}, "/outbox", "The gateway retries the pending pushes of the app org.example.up now.", `outbox/retry {"app":"org.example.up"}`},
		{"/outbox/retry", url.Values{"app": {"org.example.up"}, "hash": {hashA}}, "/outbox", "The gateway retries", `outbox/retry {"app":"org.example.up","hash":"` + hashA + `"}`},
		{"/outbox/drop", url.Values{"app": {"org.example.up"}, "confirmed": {"yes"}}, "/outbox", "3 pushes dropped.", `outbox/drop {"app":"org.example.up","all":true}`},
		{"/outbox/drop", url.Values{"app": {"org.example.up"}, "hash": {hashA}, "id": {"7"}, "confirmed": {"yes"}}, "/outbox", "3 pushes dropped.", `outbox/drop {"app":"org.example.up","hash":"` + hashA + `","id":"7"}`},
		{"/fuse/reset", url.Values{"app": {"org.example.up"}, "confirmed": {"yes"}}, "/app?app=org.example.up", "The fuse is reset.", `fuses/reset {"app":"org.example.up"}`},
		{"/fuse/reset", url.Values{"confirmed": {"yes"}}, "/", "The fuse is reset.", `fuses/reset {}`},
	} {
		before := len(api.posts())
		a := b.submit(tt.path, tt.fields)
		a.want(t, http.StatusOK, tt.notice)
		if !strings.HasPrefix(a.address, b.page.at(tt.page)) || strings.Contains(a.address, hashA) {
			t.Errorf("%s leads to %s", tt.path, a.address)
		}
		b.get(a.address).want(t, http.StatusOK, tt.notice) // loading the page again shows the same, and does nothing
		if posts := api.posts()[before:]; !slices.Equal(posts, []string{"POST " + tt.request}) {
			t.Errorf("%s: the gateway got %q", tt.path, posts)
		}
		b.get(tt.page).lacks(t, `class="notice good"`)
	}
}

func TestV38_AnActionThatDidNothingSaysSo(t *testing.T) {
	t.Parallel()
	answers := usual()
	answers["rejected/forget"], answers["fuses/reset"] = `{"pushkey_hash":"`+hashA+`","forgotten":0}`, `{"was_tripped":false}`
	answers["outbox/retry"], answers["outbox/drop"] = `{"app":"org.example.gone","configured":false}`, `{"app":"a","dropped":1000,"next":"n1"}`
	api := newAPI(t, answers)
	b := open(t, api.client(t))
	b.submit("/pushkeys/forget", url.Values{"hash": {hashA}}).want(t, http.StatusOK, "There was no record of "+hashA)
	b.submit("/fuse/reset", url.Values{"app": {"org.example.up"}, "confirmed": {"yes"}}).want(t, http.StatusOK, "The fuse was not tripped.")
	b.submit("/outbox/retry", url.Values{"app": {"org.example.gone"}}).want(t, http.StatusOK, "The app org.example.gone is not configured.")
	b.submit("/outbox/drop", url.Values{"app": {"a"}, "confirmed": {"yes"}}).want(t, http.StatusOK, "1000 pushes dropped so far.", `name="cursor" value="n1"`, `name="dropped" value="1000"`, "Continue")
	b.submit("/outbox/drop", url.Values{"app": {"a"}, "confirmed": {"yes"}, "cursor": {"n1"}, "dropped": {"1000"}}).want(t, http.StatusOK, "2000 pushes dropped so far.")
	if posts := api.posts(); posts[len(posts)-1] != `POST outbox/drop {"app":"a","all":true,"cursor":"n1"}` {
		t.Errorf("the gateway got %q", posts)
	}
}

// aForm matches a form of a page, and anInput the name of one of its fields.
var (
	aForm   = regexp.MustCompile(`(?s)<form[^>]*method="(\w+)"[^>]*>(.*?)</form>`)
	anInput = regexp.MustCompile(`<(?:input|textarea)[^>]* name="(\w+)"`)
	aLink   = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
)

func TestV40_WhatSomebodyTypesIsCheckedBeforeItGetsIntoAURL(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	for name, fields := range map[string]url.Values{
		"at most 32 hexadecimal digits":          {"prefix": {canary}},
		"The beginning of a hash must be":        {"prefix": {strings.Repeat("ab12", 16)}},
		"No app with this pattern is configured": {"app": {canary}},
	} {
		b.submit("/pushkeys/list", fields).want(t, http.StatusBadRequest, name, "Nothing was changed.")
	}
	for _, r := range api.requests {
		if strings.Contains(r, "rejected") || strings.Contains(r, canary) {
			t.Errorf("the gateway got %s", r)
		}
	}
}

func TestV40_NoFormPutsAPushkeyOrAHashIntoAURL(t *testing.T) {
	t.Parallel()
	b := open(t, newAPI(t, usual()).client(t))
	shownPages := []shown{
		b.get("/"), b.get("/app?app=org.example.up"), b.get("/pushkeys"), b.get("/outbox"), b.get("/test"),
		b.submit("/pushkeys/explain", url.Values{"hash": {hashA}}), b.submit("/pushkeys/list", nil), b.submit("/outbox/list", url.Values{"app": {"org.example.up"}}),
		b.submit("/outbox/drop", url.Values{"app": {"org.example.up"}, "hash": {hashA}}),
		b.submit("/test", url.Values{"app_id": {"a"}, "pushkey": {canary}, "do": {"send"}}),
	}
	secret := []string{"token", "hash", "pushkey", "endpoint", "data", "cursor", "prefix"}
	forms := 0
	for _, a := range shownPages {
		for _, form := range aForm.FindAllStringSubmatch(a.text, -1) {
			forms++
			for _, input := range anInput.FindAllStringSubmatch(form[2], -1) {
				if form[1] != "post" && slices.Contains(secret, input[1]) {
					t.Errorf("%s has a form that puts %s into a URL", a.address, input[1])
				}
			}
		}
		for _, link := range aLink.FindAllStringSubmatch(a.text, -1) {
			if strings.Contains(link[1], hashA) || strings.Contains(link[1], b.page.token) {
				t.Errorf("%s has the link %s", a.address, link[1])
			}
		}
	}
	if forms < 20 {
		t.Errorf("only %d forms were found", forms)
	}
}
