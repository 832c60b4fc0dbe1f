package pushrules_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// corpusCase is a case of testdata/cases.json. Its answers are those of Synapse's own evaluator.
type corpusCase struct {
	Name  string
	Input struct {
		Event       json.RawMessage
		UserID      string `json:"user_id"`
		DisplayName string `json:"display_name"`
		Members     uint64 `json:"room_member_count"`
		Power       *any   `json:"sender_power_level"`
		Levels      map[string]int64
		Rules       map[string][]map[string]any
		Features    []string                   `json:"room_version_features"`
		Subscribed  *bool                      `json:"thread_subscribed"`
		Flags       map[string]bool            `json:"experimental"`
		Related     map[string]json.RawMessage `json:"related_events"`
		Notify      map[string]int64           `json:"notification_levels"`
	}
	Expected answer
	Spec     *struct{ Rule *string }
	Ages     map[string]struct {
		Rule   *string
		Notify bool
	}
}

type answer struct {
	Rule    *string
	Actions []any
	Notify  bool
	Tweaks  map[string]any
	Prio    string
	Skipped string
}

func corpus(t testing.TB) []corpusCase {
	t.Helper()
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	// The power level null is unknown, and a missing one is 0.
	var file struct{ Cases []json.RawMessage }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	cases := make([]corpusCase, len(file.Cases))
	for i, raw := range file.Cases {
		zero := any(0.0)
		cases[i].Input.Power = &zero
		cases[i].Input.Members = 2
		if err := json.Unmarshal(raw, &cases[i]); err != nil {
			t.Fatal(err)
		}
	}
	if len(cases) != 343 {
		t.Fatalf("%d cases", len(cases))
	}
	return cases
}

// viewer returns the user of a case.
func (c *corpusCase) viewer(t testing.TB) *pushrules.Viewer {
	t.Helper()
	in := &c.Input
	v := &pushrules.Viewer{
		UserID: in.UserID, DisplayName: in.DisplayName, Members: in.Members, Levels: in.Notify, Features: in.Features,
		Subscribed: in.Subscribed, Related: make(map[string]*pushrules.Event),
	}
	if in.Power != nil {
		if level, ok := (*in.Power).(float64); ok {
			power := int64(level)
			v.SenderPower = &power
		}
	}
	for id, raw := range in.Related {
		v.Related[id] = event(t, raw)
	}
	return v
}

func event(t testing.TB, raw []byte) *pushrules.Event {
	t.Helper()
	e, err := pushrules.ParseEvent(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// experiments returns the flags that are on, sorted.
func (c *corpusCase) experiments() (names []string) {
	for name, on := range c.Input.Flags {
		if on {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// rules returns the default rules of an age with the user's changes, as a homeserver would serve them.
func (c *corpusCase) rules(t testing.TB, age string) *pushrules.Ruleset {
	t.Helper()
	defaults, err := pushrules.Defaults(age, c.Input.UserID, c.experiments()...)
	if err != nil {
		t.Fatal(err)
	}
	lists := make(map[string][]any)
	for _, kind := range pushrules.Kinds() {
		changed, own := make(map[string]map[string]any), []any{}
		for _, r := range c.Input.Rules[kind] {
			if id := r["rule_id"].(string); strings.HasPrefix(id, ".") {
				changed[id] = r
			} else {
				own = append(own, r)
			}
		}
		var master, others []any
		for _, d := range defaults.Rules {
			if d.Kind != kind {
				continue
			}
			var r map[string]any
			if err := json.Unmarshal(d.Raw, &r); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"enabled", "actions"} {
				if v, ok := changed[d.ID][name]; ok {
					r[name] = v
				}
			}
			if d.ID == ".m.rule.master" && age != "v1.2" {
				master = append(master, r)
			} else {
				others = append(others, r)
			}
		}
		lists[kind] = slices.Concat(master, own, others)
	}
	data, err := json.Marshal(map[string]any{"global": lists})
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, data)
}

func parse(t testing.TB, data []byte) *pushrules.Ruleset {
	t.Helper()
	rules, err := pushrules.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func (c *corpusCase) evaluate(t testing.TB, age string, options pushrules.Options) *pushrules.Result {
	t.Helper()
	options.Experiments = c.experiments()
	r, err := pushrules.Evaluate(t.Context(), c.rules(t, age), event(t, c.Input.Event), c.viewer(t), options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// name returns the name of the rule that decides, or nil.
func name(r *pushrules.Result) *string {
	if r.Rule == nil {
		return nil
	}
	n := r.Rule.Name()
	return &n
}

func TestQ01_SynapsesEvaluatorGivesTheSameAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range corpus(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r := c.evaluate(t, pushrules.SynapseAge, pushrules.Options{Reading: pushrules.Synapse})
			got := answer{Rule: name(r), Notify: r.Notify, Tweaks: r.Tweaks, Skipped: r.Skipped, Actions: []any{}}
			if r.Notify {
				got.Prio = pushrules.SynapseServer.Prio(r)
			}
			for _, a := range actions(r) {
				if a != "dont_notify" && a != "coalesce" { // Synapse removes them
					got.Actions = append(got.Actions, a)
				}
			}
			equal(t, r, got, c.Expected)
		})
	}
}

// actions returns the actions of the rule that decides, as JSON values.
func actions(r *pushrules.Result) (list []any) {
	if r.Rule == nil {
		return nil
	}
	for _, a := range r.Rule.Actions {
		var v any
		if json.Unmarshal(a.Raw, &v) == nil {
			list = append(list, v)
		}
	}
	return list
}

// equal compares two values by their JSON.
func equal(t *testing.T, r *pushrules.Result, got, want any) {
	t.Helper()
	var values [2]any
	for i, v := range []any{got, want} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &values[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		t.Errorf("got %v, want %v\n%s", values[0], values[1], r)
	}
}

func TestQ02_TheSpecificationGivesTheSameAnswersUnlessSynapseDiffers(t *testing.T) {
	t.Parallel()
	differ := 0
	for _, c := range corpus(t) {
		want := c.Expected.Rule
		if c.Spec != nil {
			want = c.Spec.Rule
			differ++
		}
		if leftOpen[c.Name] {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r := c.evaluate(t, pushrules.SynapseAge, pushrules.Options{})
			equal(t, r, name(r), want)
		})
	}
	if differ != 22 {
		t.Errorf("%d cases differ", differ)
	}
}

// leftOpen has the cases about which the specification says nothing.
var leftOpen = map[string]bool{"glob: case: the long s, with a wildcard": true}

func TestQ03_EachAgeHasItsRulesAndConditions(t *testing.T) {
	t.Parallel()
	n := 0
	for _, c := range corpus(t) {
		if c.Ages != nil {
			n++
		}
		for age, want := range c.Ages {
			t.Run(c.Name+" "+age, func(t *testing.T) {
				t.Parallel()
				r := c.evaluate(t, age, pushrules.Options{Age: age})
				equal(t, r, []any{name(r), r.Notify}, []any{want.Rule, want.Notify})
			})
		}
	}
	if n != 290 {
		t.Errorf("%d cases have ages", n)
	}
}
