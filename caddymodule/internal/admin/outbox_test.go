package admin

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestWhatWaitsIsListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(http.StatusOK, "GET", "/matrix_push/outbox", "", `{"apps":[]}`)
	r.want(http.StatusOK, "GET", "/matrix_push/outbox?app=org.example.ios", "", `{"entries":[]}`)
	k := rejected.KeyOf("org.example.ios", canary)
	for i := range 3 {
		r.wait("org.example.ios", strconv.Itoa(i), k, i == 0)
	}
	r.box.part = &outbox.PartError{Parts: "shards 2 of 16", Err: errors.New("down")}
	r.want(http.StatusOK, "GET", "/matrix_push/outbox", "", `"entries":3`, `"unreadable":"shards 2 of 16"`)
	r.box.part = nil
	r.box.entries[0].Replace = outbox.ReplaceWake
	r.box.entries[1].Host, r.box.entries[1].Replace = "push.example.org", "a room"
	r.box.entries[2].Replace = outbox.ReplaceBadge
	r.wait("org.example.gone", "9", k, false)
	r.want(http.StatusOK, "GET", "/matrix_push/outbox", "",
		`{"app":"org.example.ios","entries":3,"devices":1,"oldest":"2026-03-14T11:00:00Z","configured":true}`,
		`{"app":"org.example.gone","entries":1,"devices":1,"oldest":"2026-03-14T11:00:00Z","configured":false}`)
	r.want(http.StatusOK, "GET", "/matrix_push/outbox?app=org.example.ios&limit=2", "",
		`{"id":"0","app":"org.example.ios","pushkey_hash":"`+k.String()+`","badge":false,"wake":true,"size":300,"accepted":"2026-03-14T11:00:00Z",`+
			`"expires":"2026-03-14T13:00:00Z","due":"2026-03-14T12:00:00Z","attempts":0,"running":true,"standing":"stranger"}`,
		`"id":"1","app":"org.example.ios","pushkey_hash":"`+k.String()+`","badge":false`, `"next":"1"`)
	r.want(http.StatusOK, "GET", "/matrix_push/outbox?app=org.example.ios&cursor=1", "",
		`"id":"2","app":"org.example.ios","pushkey_hash":"`+k.String()+`","badge":true`)
}

func TestWhatWaitsIsTriedAgain(t *testing.T) {
	t.Parallel()
	const path = "/matrix_push/outbox/retry"
	r := newRig(t)
	k, gone := rejected.KeyOf("org.example.ios", canary), rejected.KeyOf("org.example.gone", canary)
	r.wait("org.example.ios", "1", k, false)
	r.wait("org.example.gone", "2", gone, false)
	r.want(http.StatusOK, "POST", path, `{"app":"org.example.ios"}`, `{"app":"org.example.ios","configured":true}`)
	r.want(http.StatusOK, "POST", path, `{"app":"org.example.ios","hash":"`+k.Short()+`"}`, `"pushkey_hash":"`+k.String()+`"`)
	r.want(http.StatusOK, "POST", path, `{"app":"org.example.gone"}`, `"configured":false`)
	r.want(http.StatusNotFound, "POST", path, `{"app":"org.example.x"}`, "org.example.x")
	r.want(http.StatusNotFound, "POST", path, `{"app":"org.example.ios","hash":"`+gone.Short()+`"}`, "no pending pushes")
	r.want(http.StatusNotFound, "POST", path, `{"app":"org.example.ios","hash":"`+gone.String()+`"}`, "no pending pushes")
	want := []string{"org.example.ios", "org.example.ios " + k.String(), "org.example.gone", "org.example.ios " + gone.String()}
	if !slices.Equal(r.box.roused, want) {
		t.Errorf("roused were %v, want %v", r.box.roused, want)
	}
}

func TestWhatWaitsIsDropped(t *testing.T) {
	t.Parallel()
	const path = "/matrix_push/outbox/drop"
	a, b := rejected.KeyOf("org.example.ios", canary), rejected.KeyOf("org.example.ios", canary+"2")
	for _, tt := range []struct {
		name, body, answer, left string
	}{
		{"one entry", `{"app":"org.example.ios","hash":"` + a.String() + `","id":"2"}`, `"dropped":1`, "1 3 4 5"},
		{"an entry that there is not", `{"app":"org.example.ios","hash":"` + a.String() + `","id":"9"}`, `"dropped":0`, "1 2 3 4 5"},
		{"an entry that is under way", `{"app":"org.example.ios","hash":"` + a.String() + `","id":"1"}`, `"dropped":0`, "1 2 3 4 5"},
		{"a device", `{"app":"org.example.ios","hash":"` + a.Short() + `"}`, `"dropped":2`, "1 4 5"},
		{"all of an app", `{"app":"org.example.ios","all":true}`, `{"app":"org.example.ios","dropped":3}`, "1 5"},
		{"all of an app, from where an earlier request came to", `{"app":"org.example.ios","all":true,"cursor":"3"}`, `"dropped":1`, "1 2 3 5"},
		{"all of an app that is not configured any more", `{"app":"org.example.gone","all":true}`, `"dropped":1`, "1 2 3 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.wait("org.example.ios", "1", a, true)
			r.wait("org.example.ios", "2", a, false)
			r.wait("org.example.ios", "3", a, false)
			r.wait("org.example.ios", "4", b, false)
			r.wait("org.example.gone", "5", a, false)
			r.want(http.StatusOK, "POST", path, tt.body, tt.answer)
			var left []string
			for _, w := range r.box.entries {
				left = append(left, w.ID)
			}
			if strings.Join(left, " ") != tt.left {
				t.Errorf("left are %v, want %s", left, tt.left)
			}
		})
	}
	r := newRig(t)
	r.want(http.StatusNotFound, "POST", path, `{"app":"org.example.x","all":true}`, "org.example.x")
}
