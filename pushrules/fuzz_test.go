package pushrules_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// everything are the experiments that change an evaluation.
var everything = []string{"msc1767", "msc3381_polls", "msc3664", "msc4028", "msc4075", "msc4306"}

// readings evaluates in both readings, and prints the traces.
func readings(t *testing.T, rules *pushrules.Ruleset, e *pushrules.Event, v *pushrules.Viewer) {
	t.Helper()
	for _, o := range []pushrules.Options{{}, {Reading: pushrules.Synapse}, {Age: "r0.0.0"}} {
		o.All, o.Experiments = true, everything
		r, err := pushrules.Evaluate(t.Context(), rules, e, v, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.String() == "" || r.Notify != (r.Tweaks != nil) || r.Rule == nil && r.Notify {
			t.Errorf("the result is %+v", r)
		}
	}
}

func FuzzRuleset(f *testing.F) {
	for _, c := range corpus(f)[:100] {
		data, err := c.rules(f, pushrules.SynapseAge).MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(c.Input.Event))
	}
	odd, err := os.ReadFile("testdata/odd.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(odd, []byte(`{"type":"m.room.message","content":{"body":"x"}}`))
	f.Fuzz(func(t *testing.T, data, raw []byte) {
		rules, err := pushrules.Parse(data)
		if err != nil {
			return
		}
		if kept, err := rules.MarshalJSON(); err != nil || !bytes.Equal(kept, data) {
			t.Errorf("the ruleset became %s: %v", kept, err)
		}
		e, err := pushrules.ParseEvent(raw)
		if err != nil {
			return
		}
		readings(t, rules, e, &pushrules.Viewer{UserID: "@alice:hs.test", DisplayName: "Alice", Members: 3})
	})
}

func FuzzEvent(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add([]byte(c.Input.Event), c.Input.DisplayName)
	}
	rules, err := pushrules.Defaults(pushrules.SynapseAge, "@alice:hs.test", everything...)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte, displayName string) {
		e, err := pushrules.ParseEvent(raw)
		if err != nil {
			return
		}
		power, subscribed := int64(50), true
		readings(t, rules, e, &pushrules.Viewer{
			UserID: "@alice:hs.test", DisplayName: displayName, Members: 2, SenderPower: &power, Subscribed: &subscribed,
			Features: []string{"org.matrix.msc3932.extensible_events"}, Related: map[string]*pushrules.Event{"$q": e},
		})
	})
}
