package pushrules

// Homeserver is a homeserver's software. Homeservers differ in whom they evaluate rules for, and in what they send to the gateway.
type Homeserver string

// The homeservers.
const (
	SynapseServer Homeserver = "synapse"
	Dendrite      Homeserver = "dendrite"
	Continuwuity  Homeserver = "continuwuity"
	Tuwunel       Homeserver = "tuwunel"
)

// Homeservers returns all homeservers whose differences are known.
func Homeservers() []Homeserver {
	return []Homeserver{SynapseServer, Dendrite, Continuwuity, Tuwunel}
}

// Reading returns the reading that is closest to the homeserver. Dendrite differs from both: see [Homeserver.Note].
func (h Homeserver) Reading() Reading {
	if h == SynapseServer {
		return Synapse
	}
	return Spec
}

// Prio returns the priority that the homeserver gives the push of a result, or nothing if it sends none. A push without a priority is high.
func (h Homeserver) Prio(r *Result) string {
	if h == Dendrite {
		return ""
	}
	if r.Encrypted || truthy(r.Tweaks["highlight"]) || truthy(r.Tweaks["sound"]) {
		return "high"
	}
	return "low"
}

// truthy reports whether a value counts as true in Python.
func truthy(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	n, ok := simple(value)
	return !ok || n != int64(0)
}
