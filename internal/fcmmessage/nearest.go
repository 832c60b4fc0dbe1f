package fcmmessage

import (
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// Nearest returns the member that an unknown name was probably meant for, in the spelling of the name; empty if no member is similar.
func (o *Object) Nearest(name string) string {
	known := slices.DeleteFunc(slices.Clone(o.Names()), func(member string) bool { return o.members[member].kind == kindOurs })
	best := nearest.Name(name, known)
	if best != "" && strings.ToLower(name) != name && !strings.Contains(name, "_") {
		return camel(best)
	}
	return best
}
