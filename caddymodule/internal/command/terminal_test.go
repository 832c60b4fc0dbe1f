package command

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// realistic gives an answer of the admin API apps and hosts whose names are as long as real ones.
func realistic(answer string) string {
	return strings.NewReplacer(
		"org.example.ios", "org.example.messenger.ios.development.*", "org.example.up", "org.example.messenger.android.unifiedpush.*",
		"org.example.web", "org.example.messenger.pages.app.example.org", "push.example.org:443", "updates.push.services.mozilla.com:443",
	).Replace(answer)
}

// P16: tables were 130 to 190 columns wide.
func TestEveryOutputFitsATerminalOf80Columns(t *testing.T) {
	t.Parallel()
	const trial = `{"app":"org.example.ios","provider":"apns","pushkey_hash":"` + hashA + `","outcome":"misconfigured","reason":"http_403",` +
		`"word":"BadEnvironmentKeyInToken","detail":"the push service refuses the credential, and names neither the key nor the environment","result":"queued",` +
		`"on_record":true,"retry_after":30,"duration":0.5}`
	for _, tt := range []struct {
		name, route, answer, args string
		code                      int
	}{
		{"status", "apps", healthy, "status", 0},
		{"status-degraded", "apps", degraded, "status", 0},
		{"status-wrong-key", "apps", lost, "status", 0},
		{"status-refused", "apps", refusing, "status --strict", 0},
		{"explain-dead", "rejected/explain", dead, "rejected explain --hash ab12", 3},
		{"explain-suspected", "rejected/explain", suspectedOnly, "rejected explain --hash ab12", 0},
		{"explain-unusable", "rejected/explain", unusable, "rejected explain --app-id a --pushkey " + canary, 3},
		{"send", "send", trial, "send --app-id a --pushkey " + canary, 3},
		{"list", "rejected", `{"records":[` + record(hashA) + `,` + suspectedRecord(hashB, "0") + `]}`, "rejected list", 0},
		{
			"outbox", "outbox", `{"apps":[{"app":"org.example.ios","entries":4,"devices":2,"oldest":"2026-03-14T11:20:00Z","configured":true},` +
				`{"app":"org.example.up","entries":1,"devices":1,"oldest":"2026-03-14T11:20:00Z","configured":false}]}`, "outbox list", 0,
		},
		{
			"outbox-app", "outbox", `{"entries":[` + entry("1a586185-1e0e-40f1-ad97-2ffbf5b804df", "") + `,` +
				entry("b6a9d1cf-1d1b-48f4-862f-ade533a02bf4", `,"running":true`) + `]}`, "outbox list --app a", 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string][]string{tt.route: {realistic(tt.answer)}})
			r := world{columns: 80}.ask(t, a, strings.Fields(tt.args)...)
			r.want(t, tt.code)
			golden(t, "80/"+tt.name, r.out)
			fits(t, r.out)
			colourful := world{columns: 80, terminal: true}.ask(t, a, strings.Fields(tt.args)...)
			if plain := uncoloured(colourful.out); plain != r.out {
				t.Errorf("colours change the text:\n%s\nwant\n%s", plain, r.out)
			}
		})
	}
}

// uncoloured returns a text without its colours.
func uncoloured(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, text, _ = strings.Cut(after, "m")
	}
}

// Loading a configuration changes Caddy's log, so the test is not parallel.
func TestTheReportOfACheckFitsATerminalOf80Columns(t *testing.T) {
	plan := Plan{
		Rejected: PlannedStore{Module: "file", Found: CheckOK}, Outbox: PlannedStore{Module: "off"}, Apps: apps(),
		Warnings: []string{"outbox off: a push that is not delivered in time is lost if the homeserver does not send it again; Dendrite does not"},
	}
	plan.Apps[1].App = "org.example.messenger.ios.development.*"
	plan.Apps[1].Warnings = []string{"content full: the push service can read the notifications, and the operator of the push service as well"}
	plan.Apps[1].Check = checker{errors.New("invalid_provider_token: the key is not a key of this team, or it was revoked; see docs/apns.md")}.Check
	w, config, _ := planned(t, plan)
	w.columns = 80
	r := w.run(t, "check", "--config", config, "--live", "--timeout", time.Minute.String())
	r.want(t, exitFailed)
	golden(t, "80/check-live", r.out)
	fits(t, r.out)
	fits(t, r.err)
}

func TestAWideTerminalShowsTables(t *testing.T) {
	t.Parallel()
	r := world{columns: 200}.ask(t, newAPI(t, map[string][]string{"apps": {degraded}}), "status")
	r.want(t, 0, "APP              PROVIDER  STATE     BREAKER  FUSE                     IN FLIGHT  OUTBOX  CREDENTIAL EXPIRES            LAST DELIVERED\n")
}

// A script searches for sentences and values.
func TestSentencesAreNotWrappedForAScript(t *testing.T) {
	t.Parallel()
	r := world{}.ask(t, newAPI(t, map[string][]string{"apps": {realistic(degraded)}}), "status")
	r.want(t, 0,
		"- devices of unknown apps: the fuse tripped because too many pushkeys were rejected; rejections have been held back since 2026-03-14 11:00:00 (60m ago)\n",
		"APP  org.example.messenger.ios.development.*\n  PROVIDER            apns\n  STATE               degraded\n",
	)
}

func TestTheWidthOfATextIsThatOnATerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "日本": 4, "Ａ": 2, "🚀": 2, "…": 1, "Ж": 1, "ﾊ": 1} {
		if got := columns(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
	rows := newTable("A", "B")
	rows.add(cells("日本", "x")...)
	var out strings.Builder
	rows.write(&out, style{}.fit(0))
	if want := "A     B\n日本  x\n"; out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}

func TestALongWordIsNotCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 90)
	for _, tt := range []struct{ text, want string }{
		{"a few words that fit", "a few words that fit"},
		{strings.Repeat("word ", 20), strings.TrimSpace(strings.Repeat("word ", 16)) + "\n  " + strings.TrimSpace(strings.Repeat("word ", 4))},
		{"Public key: " + long + " and more", "Public key: " + long + "\n  and more"},
		{long, long},
	} {
		if got := (style{}).fit(82).wrapped(2, tt.text); got != tt.want {
			t.Errorf("%q becomes\n%s\nwant\n%s", tt.text, got, tt.want)
		}
	}
	if got := (style{}).fit(1).wrapped(60, "some words that wrap"); got != "some words that wrap" {
		t.Errorf("in a narrow window, it becomes %q", got)
	}
}
