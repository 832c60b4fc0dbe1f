// Package describe puts what the admin API answers into sentences and facts. The command prints them, and its page shows them.
package describe

// Tone is whether something is good or bad news.
type Tone string

// The tones.
const (
	Plain   Tone = ""
	Good    Tone = "good"
	Warning Tone = "warning"
	Bad     Tone = "bad"
)

// Fact is a name with its value. A fact without a value is not shown.
type Fact struct{ Name, Value string }

// Report describes something: with a sentence, and with facts.
type Report struct {
	Tone     Tone
	Sentence string
	Facts    []Fact
}

// meantOnce leaves out facts without a value, and a meaning that an earlier fact has.
func meantOnce(facts []Fact) []Fact {
	said := make(map[string]bool)
	kept := make([]Fact, 0, len(facts))
	for _, f := range facts {
		if f.Value == "" || f.Name == "Meaning" && said[f.Value] {
			continue
		}
		said[f.Value] = said[f.Value] || f.Name == "Meaning"
		kept = append(kept, f)
	}
	return kept
}
