package fcmmessage

import "strings"

// Nearest returns the member that an unknown name was probably meant for, in the spelling of the name; empty if no member is similar.
func (o *Object) Nearest(name string) string {
	wrong := squash(name)
	best, least := "", allowed(len(wrong))+1
	for _, known := range o.Names() {
		if o.members[known].kind == kindOurs {
			continue
		}
		right := squash(known)
		if d := distance(wrong, right, least); d < least && d < len(right) {
			best, least = known, d
		}
	}
	if best != "" && strings.ToLower(name) != name && !strings.Contains(name, "_") {
		return camel(best)
	}
	return best
}

// squash makes both spellings of a name equal.
func squash(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// allowed is how many letters of a name may be wrong.
func allowed(length int) int { return min(max(1, length/4), 3) }

// distance returns how many letters were left out, added, exchanged or swapped with the next (the optimal string alignment distance),
// but at most limit.
func distance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= limit {
		return limit
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		two := before
		before, row = row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(before[j]+1, row[j-1]+1, before[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return min(row[len(b)], limit)
}
