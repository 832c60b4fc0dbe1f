package pushrules

import "encoding/json"

// Action is one action of a rule.
type Action struct {
	// Name is the action if it is a string, such as "notify".
	Name string
	// Tweak is the name of the tweak that the action sets, and Value the value. An action without a value sets true.
	Tweak   string
	Value   any
	NoValue bool
	// Raw is the action as JSON, also if it is unknown.
	Raw json.RawMessage
}

// The actions that versions before v1.7 had. Since then they mean nothing.
const (
	notify     = "notify"
	dontNotify = "dont_notify"
	coalesce   = "coalesce"
)

// Known reports whether the action is notify or sets a tweak, or had a meaning before v1.7.
func (a *Action) Known() bool {
	return a.Name == notify || a.Name == dontNotify || a.Name == coalesce || a.Tweak != ""
}

func parseActions(value any) (actions []Action) {
	list, ok := value.([]any)
	if !ok {
		return nil
	}
	for _, v := range list {
		raw, err := json.Marshal(v)
		if err != nil {
			continue
		}
		a := Action{Raw: raw}
		a.Name, _ = v.(string)
		if members, ok := v.(map[string]any); ok {
			a.Tweak, _ = members["set_tweak"].(string)
			if a.Value, ok = members["value"]; !ok {
				a.Value, a.NoValue = true, true
			}
		}
		actions = append(actions, a)
	}
	return actions
}

// effect returns whether the actions notify, and the tweaks that they set. The last of several equal tweaks counts.
func effect(actions []Action, old bool) (notifies bool, tweaks map[string]any) {
	for _, a := range actions {
		notifies = notifies || a.Name == notify || old && a.Name == coalesce
	}
	if !notifies {
		return false, nil
	}
	tweaks = map[string]any{}
	for _, a := range actions {
		if a.Tweak != "" {
			tweaks[a.Tweak] = a.Value
		}
	}
	return true, tweaks
}
