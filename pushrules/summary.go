package pushrules

import (
	"maps"
	"slices"
	"strings"
)

// skips explains why no rule is tried.
var skips = map[string]string{
	OwnEvent:      "It is the user's own event: no rule is tried.",
	IgnoredSender: "The user ignores the sender: no rule is tried.",
	MemberOfOther: "It is the membership of another user: Synapse tries no rule.",
}

// Summary returns the decision in one or two sentences.
func (r *Result) Summary() string {
	text := r.decision()
	if r.Encrypted && r.Skipped == "" {
		text += " The event is encrypted: the client decrypts it, evaluates the rules again, and decides."
	}
	return text
}

func (r *Result) decision() string {
	switch {
	case r.Skipped != "":
		return skips[r.Skipped]
	case r.Rule == nil:
		return "No rule matches: no push, no count."
	case !r.Notify:
		return r.Rule.Name() + " decides without notify: no push, no count."
	}
	var tweaks []string
	for _, name := range slices.Sorted(maps.Keys(r.Tweaks)) {
		tweaks = append(tweaks, name+" "+show(r.Tweaks[name]))
	}
	if tweaks == nil {
		return r.Rule.Name() + " decides: notify."
	}
	return r.Rule.Name() + " decides: notify, with " + strings.Join(tweaks, ", ") + "."
}
