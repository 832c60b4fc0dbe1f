package pushrules

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// defaultsJSON has the default rules of each version in which they changed, and of Synapse with its experiments.
//
//go:embed defaults.json
var defaultsJSON []byte

// SynapseAge is the name of Synapse's default rules.
const SynapseAge = "synapse-1.163.2"

var readDefaults = sync.OnceValues(func() (all map[string][]map[string]any, err error) {
	err = json.Unmarshal(defaultsJSON, &all)
	return all, err
})

// Ages returns the versions in which the default rules changed, oldest first.
func Ages() []string { return []string{"r0.6.1", "v1.2", "v1.4", "v1.6", "v1.7", "v1.9", "v1.17"} }

// Defaults returns the default rules that a user has. The age is a version of the specification, or [SynapseAge]. An experiment, such as
// "msc4028", adds rules to those of Synapse.
func Defaults(age, userID string, experiments ...string) (*Ruleset, error) {
	all, err := readDefaults()
	if err != nil {
		return nil, err
	}
	version, err := defaultsOf(age)
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(all[version])
	for _, experiment := range experiments {
		if version == SynapseAge {
			rules = insert(rules, all[version+"+"+experiment])
		}
	}
	lists := make(map[string][]any)
	for _, kind := range Kinds() {
		lists[kind] = []any{}
	}
	for _, r := range rules {
		kind, _ := r["kind"].(string)
		filled, _ := fill(r, strings.NewReplacer("$USER_ID", userID, "$LOCALPART", localpart(userID))).(map[string]any)
		delete(filled, "kind")
		delete(filled, "after")
		filled["default"] = true
		lists[kind] = append(lists[kind], filled)
	}
	data, err := json.Marshal(map[string]any{"global": lists})
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// defaultsOf returns the newest version in which the default rules changed, up to an age.
func defaultsOf(age string) (string, error) {
	if age == SynapseAge {
		return age, nil
	}
	wanted, err := minor(age)
	if err != nil {
		return "", fmt.Errorf("%w or %s", err, SynapseAge)
	}
	if wanted == 1 {
		wanted = 2 // v1.2 changed no default rule
	}
	found := ""
	for _, version := range Ages() {
		if n, _ := minor(version); n <= wanted {
			found = version
		}
	}
	if strings.HasPrefix(age, "r0.") {
		found = Ages()[0]
	}
	return found, nil
}

// fill returns a copy of a value with the user in place of the placeholders.
func fill(value any, user *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return user.Replace(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = fill(v[i], user)
		}
		return list
	case map[string]any:
		members := make(map[string]any, len(v))
		for name := range v {
			members[name] = fill(v[name], user)
		}
		return members
	}
	return value
}

// insert returns rules with an experiment's rules, each behind the rule that its member after names.
func insert(rules, added []map[string]any) []map[string]any {
	for _, r := range added {
		at := slices.IndexFunc(rules, func(other map[string]any) bool { return other["rule_id"] == r["after"] })
		rules = slices.Insert(rules, at+1, r)
	}
	return rules
}
