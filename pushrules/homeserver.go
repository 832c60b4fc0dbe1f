package pushrules

import "strings"

// Homeserver is a homeserver's software. Homeservers differ in the events for which they evaluate rules, and in what they send to the
// gateway.
type Homeserver string

// The homeservers. The differences are those of Synapse 1.163.2 and of the others' sources in 2026.
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

// HomeserverNamed returns the homeserver that the value of a header Server names, such as Synapse/1.163.2. It returns false if the value
// names none whose differences are known.
func HomeserverNamed(server string) (Homeserver, bool) {
	for _, h := range Homeservers() {
		if strings.HasPrefix(strings.ToLower(server), string(h)) {
			return h, true
		}
	}
	return "", false
}

// ruma reports whether the homeserver uses the library ruma.
func (h Homeserver) ruma() bool { return h == Continuwuity || h == Tuwunel }

// Reading returns the reading that is closest to the homeserver. [Homeserver.Note] describes what neither reading has.
func (h Homeserver) Reading() Reading {
	if h == SynapseServer {
		return Synapse
	}
	return Spec
}

// Note returns what a user of the homeserver should know about its evaluator, or nothing.
func (h Homeserver) Note() string {
	switch {
	case h == Dendrite:
		return "Dendrite has no event_property conditions, and matches parts of a value. After one malformed condition, it sends no push."
	case h.ruma():
		return "One malformed condition makes the whole ruleset unreadable for this homeserver."
	}
	return ""
}

// Evaluates reports whether the homeserver evaluates the rules of a user for an event. The membership is the user's own in the room.
func (h Homeserver) Evaluates(e *Event, userID, membership string) bool {
	stateKey, isState := e.StateKey()
	subject := e.Type() == "m.room.member" && isState && stateKey == userID
	switch {
	case e.Sender() == userID:
		return false
	case h == SynapseServer && e.Type() == "m.room.member":
		return subject
	case h == Dendrite:
		return membership == "join" || membership == "invite"
	}
	return membership == "join" || subject && h.ruma()
}

// DisplayName returns the display name that the homeserver looks for. Some homeservers don't know the user's name in the room.
func (h Homeserver) DisplayName(userID, inRoom, inProfile string) string {
	switch {
	case !h.ruma():
		return inRoom
	case inProfile != "":
		return inProfile
	}
	return localpart(userID)
}

// localpart returns the part of a user's id between @ and the colon.
func localpart(userID string) string {
	local, _, _ := strings.Cut(strings.TrimPrefix(userID, "@"), ":")
	return local
}

// Prio returns the priority of a push: high or low.
func (h Homeserver) Prio(r *Result) string {
	if h == Dendrite || r.Encrypted || truthy(r.Tweaks["highlight"]) || truthy(r.Tweaks["sound"]) {
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
	n, ok := simple(value, true)
	return !ok || n != int64(0)
}
