package command

import (
	"strings"
	"testing"
)

const (
	shownAlert = `{"app":"org.example.ios","provider":"apns","pushkey_hash":"` + hashA + `","content":"event_id_only","withheld":["content","sender"],` +
		`"requests":[{"method":"POST","url":"https://api.push.apple.com/3/device/…","headers":{"apns-topic":"org.example.ios","apns-priority":"10"},` +
		`"body":"{\"aps\":{\"alert\":\"<1>\"},\"event_id\":\"$e\"}","encrypted":false,"size":39,"omitted":[],"shortened":[]}],"result":"sent","on_record":false}`
	shownCut = `{"app":"org.example.web","provider":"webpush","pushkey_hash":"` + hashA + `","site":"push.example.org","content":"full","withheld":[],` +
		`"requests":[{"method":"POST","url":"https://push.example.net/…","headers":{"ttl":"86399"},"body":"{\"content\":{\"body\":\"x…\"}}",` +
		`"encrypted":true,"size":27,"whole_size":7451,"omitted":["content.formatted_body"],"shortened":["content.body"]},` +
		`{"method":"POST","url":"https://push.example.net/…","headers":{"ttl":"86399"},"body":"{}","encrypted":true,"size":2,"whole_size":7451,` +
		`"omitted":["content"],"shortened":[]}],"result":"sent","on_record":false}`
	shownNothing = `{"app":"org.example.up","provider":"unifiedpush","pushkey_hash":"` + hashA + `","content":"event_id_only","withheld":[],"requests":[],` +
		`"outcome":"dropped","reason":"blocked","explanation":"your settings don't allow this address: use allow_private","detail":"it is private",` +
		`"result":"dropped","on_record":false,"note":"ntfy.lan is not a site of this gateway"}`
	shownBinary = `{"app":"org.example.lamp","provider":"lamp","pushkey_hash":"` + hashA + `","content":"full","withheld":[],"requests":[{"method":"PUT",` +
		`"url":"https://lamps.example.org/…","headers":{},"body":"","body_base64":"/w==","encrypted":false,"size":1,"omitted":[],"shortened":[]}],` +
		`"result":"sent","on_record":false}`
)

func TestADryRunShowsWhatWouldBeSent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		code   int
	}{
		"dry-run":           {shownAlert, 0},
		"dry-run-cut":       {shownCut, 0},
		"dry-run-nothing":   {shownNothing, 3},
		"dry-run-binary":    {shownBinary, 0},
		"dry-run-on-record": {strings.Replace(shownAlert, `"on_record":false`, `"on_record":true`, 1), 3},
		"dry-run-unserved": {
			strings.Replace(shownAlert, `"result":"sent","on_record":false`, `"result":"rejected","on_record":false,"note":"no site serves the app"`, 1), 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string][]string{"preview": {test.answer}})
			args := []string{"send", "--dry-run", "--app-id", "org.example.ios", "--pushkey", canary}
			r := world{}.ask(t, a, args...)
			r.want(t, test.code)
			golden(t, name, r.out)

			r = world{}.ask(t, a, append(args, "--json")...)
			if r.want(t, test.code); r.out != test.answer+"\n" {
				t.Errorf("with --json, it prints %s", r.out)
			}
			const asked = `POST preview {"notification":{"devices":[{"app_id":"org.example.ios","pushkey":"` + canary + `"}]}}`
			a.want(t, asked, asked)
		})
	}
}

func TestADryRunPrintsNoControlCharacters(t *testing.T) {
	t.Parallel()
	answer := strings.NewReplacer("<1>", `a\u202eb`, "apns-topic", `x\u001b[31m`).Replace(shownAlert)
	r := world{}.ask(t, newAPI(t, map[string][]string{"preview": {answer}}), "send", "--dry-run", "--app-id", "a", "--pushkey", canary)
	if r.want(t, 0); strings.ContainsAny(r.out, "\x1b\u202e") {
		t.Errorf("it prints %q", r.out)
	}
}
