package webpushrelay

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/reasontest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestAMessageWithoutPayloadIsEmpty(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests <- r }))
	p := newProvider(t, messagetest.Options(server.CAFile), "127.0.0.1")
	for _, data := range []string{``, `{}`, `null`, `{"payload":"","other":1}`} {
		sent := messagetest.PushOf(&providers.Notification{Wake: true}, providers.Device{Pushkey: server.URL + "/abc", Data: json.RawMessage(data)})
		if o := p.Push(t.Context(), sent); o.Kind != providers.KindDelivered {
			t.Fatalf("%s: the outcome is %s (%s, %v)", data, o.Kind, o.Reason, o.Err)
		}
		r := <-requests
		if r.ContentLength != 0 || r.Header["Content-Encoding"] != nil || r.Header["Content-Type"] != nil || r.Header["Authorization"] != nil {
			t.Errorf("%s: the request has %d bytes, and the headers %v", data, r.ContentLength, r.Header)
		}
		wantHeaders(t, r.Header, map[string]string{"Urgency": "high", "Content-Length": "0"})
	}
}

func TestATokenMayHaveSeveralAudiences(t *testing.T) {
	t.Parallel()
	p := newProvider(t, endpoint.Options{Options: network.Options{Proxy: "none"}}, "push.example.com")
	for _, audience := range []string{`"https://PUSH.example.com:443/"`, `["https://other.example","https://push.example.com"]`} {
		sent := push(t, "https://push.example.com/abc", message{JWT: unsigned(`{"aud":` + audience + `,"exp":1e300}`), Key: anyKey})
		if r, o := p.request(sent); r == nil {
			t.Errorf("%s: %s", audience, o.Reason)
		}
	}
}

func TestOnlyThePriorityOfANotificationIsKept(t *testing.T) {
	t.Parallel()
	n := messagetest.Alert()
	n.Prio, n.Wake = providers.PrioLow, true
	if got, err := json.Marshal(new(Provider).Reduce(n)); err != nil || strings.Contains(string(got), "example.org") {
		t.Errorf("kept is %s, %v", got, err)
	}
	reduced := new(Provider).Reduce(n)
	if reduced.Prio != providers.PrioLow || !reduced.Wake || new(Provider).Reduce(messagetest.Badge()).Badge != true {
		t.Errorf("kept is %+v", reduced)
	}
}

func TestADeviceAtAHostThatIsNotListedHasNoHost(t *testing.T) {
	t.Parallel()
	p := newProvider(t, endpoint.Options{}, "push.example.com")
	for pushkey, want := range map[string]string{
		"https://push.example.com/a": "push.example.com:443", "https://PUSH.example.com:8443/a": "push.example.com:8443",
		"https://push.example.net/a": "", "http://push.example.com/a": "", "a": "",
	} {
		if got := p.Host(&providers.Device{Pushkey: pushkey}); got != want {
			t.Errorf("%s is at %q, want %q", pushkey, got, want)
		}
	}
}

func TestTheHostsMustBeListed(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{
		nil,
		{""},
		{"*"},
		{"*."},
		{"https://push.example.com"},
		{"push.example.com:443"},
		{"push.example.com/a"},
		{"a..b"},
		{"*.*.example"},
		{"a*.example"},
		{"push.example.com", "a b"},
		{"*.10.0.0.1/8"},
	} {
		p := &Provider{Hosts: list}
		if err := p.Provision(messagetest.NewContext(t)); err == nil || !strings.HasPrefix(err.Error(), "hosts") {
			t.Errorf("%q: %v", list, err)
		}
		if err := p.Cleanup(); err != nil {
			t.Error(err)
		}
	}
	h, err := parseHosts([]string{"Push.Example.com.", "*.APPLE.com", "bücher.example", "::ffff:192.0.2.1", "2001:DB8::1", "ntfy"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"push.example.com": true, "push.example.com.": true, "example.com": false, "a.push.example.com": false,
		"apple.com": false, "a.apple.com": true, "b.a.apple.com": true, "aapple.com": false, "apple.com.evil": false,
		"xn--bcher-kva.example": true, "192.0.2.1": true, "2001:db8::1": true, "ntfy": true, "": false,
	} {
		if got := h.allow(host); got != want {
			t.Errorf("%q is allowed: %t", host, got)
		}
	}
}

func TestEachReasonIsExplainedAndOnThePage(t *testing.T) {
	t.Parallel()
	found := reasontest.In(t, ".", "../internal/pushword", "../kit/endpoint", "../kit/network")
	refusals := []string{"vapid_key_mismatch", "vapid_refused", "sender_blocked", "no_such_page"} // become jwt_refused
	words := slices.DeleteFunc(found.Words, func(word string) bool { return word == "other_server" || slices.Contains(refusals, word) })
	if !slices.Equal(found.Prefixes, []string{"http_"}) {
		t.Errorf("unknown reasons begin with %v", found.Prefixes)
	}
	words = append(words, "http_408", "http_425")
	onPage := reasontest.OnPage(t, "../../docs/webpush-relay.md", "## What goes wrong, and how it shows")
	reasontest.Documented(t, onPage, words...)
	engine := reasontest.OnPage(t, "../../docs/metrics.md", "### Reasons of the gateway")
	onPage = slices.DeleteFunc(onPage, func(word string) bool { return slices.Contains(engine, word) })
	reasontest.Explained(t, new(Provider).Explain, append(words, onPage...)...)
}

// FuzzRequest makes requests of anything that a sender may put into a device's data.
func FuzzRequest(f *testing.F) {
	const at = "https://push.example.com"
	good := message{base64.StdEncoding.EncodeToString([]byte("message")), unsigned(aud(at, time.Hour)), anyKey}
	for _, m := range []message{good, {Payload: good.Payload}, {}, {good.Payload, "a.b.c", anyKey}} {
		f.Add(at+"/abc", string(push(f, at, m).Device.Data))
	}
	f.Add("https://a@b", `{"payload":1}`)
	f.Add("https://[::1]:443/", `[{"jwt":"\u0000"}]`)
	p := &Provider{hosts: hosts{".com"}, now: time.Now}
	f.Fuzz(func(t *testing.T, pushkey, data string) {
		sent := messagetest.PushOf(new(providers.Notification), providers.Device{Pushkey: pushkey, Data: json.RawMessage(data)})
		r, o := p.request(sent)
		if r == nil {
			if o.Kind != providers.KindDropped || o.Reason == "" {
				t.Errorf("the outcome is %+v", o)
			}
			return
		}
		if !p.hosts.allow(r.endpoint.Hostname()) || r.endpoint.Scheme != "https" || len(r.body) > 4096 {
			t.Errorf("%d bytes may go to %s", len(r.body), r.endpoint)
		}
		const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=., "
		if strings.Trim(r.authorization, allowed) != "" || len(r.authorization) > maxToken+200 {
			t.Errorf("the authorization is %q", r.authorization)
		}
	})
}
