package xmpp

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// push2 is a push of Push 2.0. Its token has an audience and an expiry, and no valid signature: the push service checks that.
type push2 struct{ from, client, priority, payload, more, kind string }

func (p push2) String() string {
	if p.from == "" {
		p.from = "example.test"
	}
	if p.payload == "" {
		p.payload = base64.StdEncoding.EncodeToString([]byte("encrypted"))
	}
	claims := fmt.Sprintf(`{"aud":"https://up.example.com","exp":%d}`, time.Now().Add(time.Hour).Unix())
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".e30"
	key := base64.StdEncoding.EncodeToString(append([]byte{4}, make([]byte, 64)...))
	return fmt.Sprintf(`<message id='m' from='%s' to='%s' type='%s'><notification xmlns='urn:xmpp:push2:0'><client>%s</client><priority>%s</priority>%s`+
		`<encrypted xmlns='urn:xmpp:sce:rfc8291:0'><payload>%s</payload></encrypted><jwt key='%s'>%s</jwt></notification></message>`,
		p.from, serviceJID, p.kind, xmpptest.Escape(p.client), p.priority, p.more, p.payload, key, token)
}

func TestX26_AMessageOfPush2ReachesTheRelayWithItsToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.silent(push2{client: "https://up.example.com/abc", priority: "low"})
	pushes := r.engine.all()
	if len(pushes) != 1 {
		t.Fatalf("there are %d pushes", len(pushes))
	}
	d, n := pushes[0].device, pushes[0].notification
	if d.AppID != "relay" || d.Pushkey != "https://up.example.com/abc" || n.Prio.String() != "low" || n.Wake {
		t.Errorf("got %+v for %+v", n, d)
	}
	for _, part := range []string{`"payload":"ZW5jcnlwdGVk"`, `"jwt":"e30.`, `"key":"BAAA`} {
		if !strings.Contains(string(d.Data), part) {
			t.Errorf("%s is not in the data", part)
		}
	}
}

func TestX27_AMessageOfPush2ThatIsWrongIsNobodysAlarm(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]push2{
		"a user":     {from: "alice@example.test/phone", client: "https://up.example.com/abc"},
		"no client":  {},
		"not base64": {client: "https://up.example.com/abc", payload: "!"},
		"not usable": {client: "unusable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.silent(p)
			if len(r.engine.all()) > 0 || r.alarms() != "" {
				t.Errorf("it is pushed, or there is the alarm %s", r.alarms())
			}
		})
	}
	r := newRig(t)
	r.service.relay = nil
	r.silent(push2{client: "https://up.example.com/abc"})
	if got := r.alarms(); got != "app_missing example.test 1" {
		t.Errorf("without push2, the alarms are %q", got)
	}
}

func TestX28_ADeathIsOneErrorAndNothingElseIsAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.ask(push2{client: "rejected"}.String())
	if e.XMLName.Local != "message" || e.Attr("id") != "m" || e.Attr("type") != "error" || e.Verdict() != gone {
		t.Errorf("a dead device is answered with %+v", e)
	}
	for _, client := range []string{"delivered", "queued", "unavailable", "dropped"} {
		newRig(t).silent(push2{client: client})
	}
}

func TestX29_AnErrorOfPush2IsNoReasonForAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 1000 {
		r.Handle(t.Context(), []byte(push2{client: "rejected", kind: "error"}.String()), r.reply)
	}
	r.silent(text(`<presence from='alice@example.test/phone' to='` + serviceJID + `' type='subscribe'/>`))
	if len(r.engine.all()) > 0 {
		t.Error("an error is pushed")
	}
}

func TestEachMessageOfPush2GoesOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.pushes.SetWindow(time.Hour)
	for i := range 5 {
		r.Handle(t.Context(), []byte(push2{client: "https://up.example.com/abc", payload: base64.StdEncoding.EncodeToString([]byte{byte(i)})}.String()), r.reply)
	}
	r.silent(push2{client: "https://up.example.com/abc", payload: base64.StdEncoding.EncodeToString([]byte{0})})
	if n := len(r.engine.all()); n != 5 {
		t.Errorf("there are %d pushes", n)
	}
}
