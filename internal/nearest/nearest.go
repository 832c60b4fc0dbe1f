// Package nearest finds the name that somebody probably meant when they wrote one that doesn't exist.
package nearest

import "strings"

// maxLength limits the work for one name. App_ids are the longest names, and have at most 64 characters.
const maxLength = 256

// minPrefix is how many letters a name must have to stand for a longer one.
const minPrefix = 3

// Name returns the one of the names that is most similar to the given one; empty if none is similar. Names are similar if few letters
// differ, or if one begins with the other. Capitals, underscores, hyphens and spaces don't count. A * at the end of a name stands for any
// letters. If several names are equally similar, the first is returned.
func Name(given string, among []string) string {
	if len(given) > maxLength {
		return ""
	}
	wrong := squash(given)
	best, least := "", allowed(len(wrong))+1
	for _, name := range among {
		right, whole := squash(name), wrong
		if head, open := strings.CutSuffix(right, "*"); open {
			right, whole = head, wrong[:min(len(wrong), len(head))]
		}
		if d := distance(whole, right, least); d < least && d < len(right) {
			best, least = name, d
		}
	}
	if best != "" {
		return best
	}
	for _, name := range among {
		right := squash(name)
		if min(len(wrong), len(right)) >= minPrefix && (strings.HasPrefix(right, wrong) || strings.HasPrefix(wrong, right)) {
			return name
		}
	}
	return ""
}

// DidYouMean returns the end of an error about a name that doesn't exist, `: did you mean "apns"?`; empty if no name is similar.
func DidYouMean(given string, among []string) string {
	if name := Name(given, among); name != "" {
		return `: did you mean "` + name + `"?`
	}
	return ""
}

// squash makes all spellings of a name equal.
func squash(name string) string { return strings.ToLower(separators.Replace(name)) }

var separators = strings.NewReplacer("_", "", "-", "", " ", "")

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
