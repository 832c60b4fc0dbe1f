package xmpp_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/xmpp"
	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// Caddy has one configuration per process, so this test is not parallel.
func TestX31_AConfigurationThatCannotWorkDoesNotLoadAndNamesTheField(t *testing.T) {
	t.Setenv("XMPP_TEST_EMPTY", " ")
	_, p8 := apnstest.NewKey(t)
	keyFile := filepath.Join(t.TempDir(), "key.p8")
	if err := os.WriteFile(keyFile, p8, 0o600); err != nil {
		t.Fatal(err)
	}
	ios := options{"provider": options{"name": "apns", "topic": "im.ios", "key_file": keyFile, "key_id": "ABC123DEFG", "team_id": "TEAM123456"}}
	phones := func(more options) options {
		app := options{"provider": options{"name": "test_phones"}}
		maps.Copy(app, more)
		return app
	}
	gateway := options{"apps": options{
		"im.a": phones(nil), "im.b": phones(nil), "im.*": phones(nil), "im.slow": phones(options{"wait": "21s"}), "im.ios": ios,
		"im.full": phones(options{"content": "full"}),
		"relay":   options{"provider": options{"name": "webpush_relay", "hosts": []string{"push.example.org"}}},
	}}
	component := func(more options) options {
		c := options{"secret": "canary", "apps": options{"im.a": options{"default": true}}}
		maps.Copy(c, more)
		return options{"push.example.org": c}
	}
	app := func(more options) options { return component(options{"apps": options{"im.a": more}}) }
	for name, tt := range map[string]struct {
		components options
		want       []string // parts of the error; nil if it loads
	}{
		"the least":                       {component(nil), nil},
		"an app without any option":       {app(nil), []string{`app "im.a"`, "module", "default", "register"}},
		"no component":                    {options{}, []string{"components: "}},
		"a component that is null":        {options{"push.example.org": nil}, []string{`component "push.example.org"`, "secret is missing"}},
		"a name with a local part":        {options{"a@push.example.org": options{"secret": "s"}}, []string{`component "a@push.example.org"`, "domain"}},
		"one domain twice":                {options{"push.example.org": component(nil)["push.example.org"], "Push.Example.Org": component(nil)["push.example.org"]}, []string{"given twice"}},
		"an unknown option":               {component(options{"sevrer": "a:1"}), []string{`"sevrer"`, `did you mean "server"?`}},
		"no secret":                       {component(options{"secret": ""}), []string{"secret is missing", "XMPP server's configuration"}},
		"an empty secret":                 {component(options{"secret": "{env.XMPP_TEST_EMPTY}"}), []string{"secret: it is empty", "variable"}},
		"a secret of nothing":             {component(options{"secret": "canary{env.XMPP_TEST_UNSET}"}), []string{"secret: it is empty", "variable"}},
		"a server without a port":         {component(options{"server": "localhost"}), []string{"server: ", `"localhost"`, "127.0.0.1:5347"}},
		"a server with TLS":               {component(options{"server": "tls://xmpp.example.org:5348"}), nil},
		"no app":                          {component(options{"apps": nil}), []string{"apps: there is none"}},
		"an app that matrix_push lacks":   {component(options{"apps": options{"im.aa": options{"default": true}}}), []string{"apps: ", `add the app "im.aa" to matrix_push`, `did you mean "im.a"?`}},
		"an app that is a pattern":        {component(options{"apps": options{"im.*": options{"default": true}}}), []string{"apps: ", `"im.*" is a pattern`, "write an app_id"}},
		"apns without a payload":          {component(options{"apps": options{"im.ios": options{"default": true}}}), []string{`app "im.ios"`, "payload: aps.alert is missing", "write {"}},
		"apns without an alert":           {component(options{"apps": options{"im.ios": options{"default": true, "payload": json.RawMessage(`{"aps":{"alert":{}}}`)}}}), []string{"payload: aps.alert is missing"}},
		"apns with an alert":              {component(options{"apps": options{"im.ios": options{"default": true, "payload": json.RawMessage(`{"aps":{"alert":"x"}}`)}}}), nil},
		"a payload that is a list":        {app(options{"default": true, "payload": []int{}}), []string{`app "im.a"`, "payload: must be a JSON object"}},
		"an unknown word for unimportant": {app(options{"default": true, "unimportant": "never"}), []string{"unimportant: ", `"never"`, "push, low or drop"}},
		"an unknown word for content":     {app(options{"default": true, "content": "all"}), []string{"content: ", `"all"`, "wake or full"}},
		"a content that is reduced later": {app(options{"default": true, "content": "full"}), []string{"content: ", "write content full there"}},
		"a content that is not":           {component(options{"apps": options{"im.full": options{"default": true, "content": "full"}}}), nil},
		"an unknown push service":         {app(options{"register": []string{"apn"}}), []string{"register: ", `"apn"`, `did you mean "apns"?`}},
		"two defaults": {
			component(options{"apps": options{"im.a": options{"default": true}, "im.b": options{"default": true}}}),
			[]string{`app "im.b"`, "default: ", `"im.a"`},
		},
		"one module twice": {
			component(options{"apps": options{"im.a": options{"modules": []string{"x"}}, "im.b": options{"modules": []string{"x"}}}}),
			[]string{`app "im.b"`, `modules: "x" is given twice`},
		},
		"an empty module": {app(options{"modules": []string{" "}}), []string{"modules: a name is empty"}},
		"one push service twice": {
			component(options{"apps": options{"im.a": options{"register": []string{"fcm"}}, "im.b": options{"register": []string{"fcm"}}}}),
			[]string{`app "im.b"`, "register: fcm", `"im.a"`},
		},
		"the relay for XEP-0357":         {component(options{"apps": options{"relay": options{"default": true}}}), []string{`app "relay"`, "webpush_relay", "push2"}},
		"Push 2.0 without the relay":     {component(options{"push2": "im.a"}), []string{"push2: ", "webpush_relay"}},
		"Push 2.0 with an unknown relay": {component(options{"push2": "rellay"}), []string{"push2: ", `the app "rellay"`, `did you mean "relay"?`}},
		"only Push 2.0":                  {component(options{"apps": nil, "push2": "relay"}), nil},
		"a domain that is an address":    {component(options{"allow": []string{"alice@example.org"}}), []string{"allow: ", `"alice@example.org"`, "write a domain"}},
		"a domain with a port":           {component(options{"deny": []string{"example.org:5269"}}), []string{"deny: ", "write a domain"}},
		"domains":                        {component(options{"allow": []string{"*", "example.org", "*.example.org"}}), nil},
		"a negative rate":                {component(options{"rate": options{"per_second": -1}}), []string{"rate: per_second"}},
		"a burst without a rate":         {component(options{"rate": options{"burst": 1}}), []string{"rate: per_second"}},
		"a rate beyond all bounds":       {component(options{"rate": options{"per_second": 1e300}}), []string{"rate: "}},
		"a negative coalesce":            {component(options{"coalesce": -1}), []string{"coalesce: "}},
		"a coalesce of a minute":         {component(options{"coalesce": "1m"}), []string{"coalesce: 1m0s"}},
		"a wait that is too long": {
			component(options{"apps": options{"im.slow": options{"default": true}}}),
			[]string{"coalesce: 5s", `"im.slow"`, "21s", "shorter"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(t, t.TempDir(), tt.components, options{"matrix_push": gateway})
			err := validate(t, config)
			switch {
			case tt.want == nil && err != nil:
				t.Fatal(err)
			case tt.want == nil:
				return
			case err == nil:
				t.Fatal("it loads")
			case strings.Contains(err.Error(), "canary"):
				t.Errorf("the error shows the secret: %v", err)
			}
			wantParts(t, err.Error(), tt.want...)
		})
	}
	without := caddyconfig.JSON(options{"apps": options{"xmpp_push": options{"components": component(nil)}}}, nil)
	if err := validate(t, without); err == nil || !strings.Contains(err.Error(), `the app "im.a"`) {
		t.Errorf("without matrix_push, the error is %v", err)
	}
}

var _ json.Unmarshaler = (*xmpp.App)(nil)
