package nearest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxListed limits how many names an error lists.
const maxListed = 20

// Instead returns the end of an error about a name that doesn't exist: the most similar name, and all names that exist. The names are
// those of several things, such as options: `: did you mean "ttl"? The options are content, ttl and wait`. It is empty if no names exist.
func Instead(given, things string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	list := fmt.Sprintf("the %s are %s", things, enumerate(names))
	if len(names) == 1 {
		list = "there is only " + names[0]
	}
	switch question := DidYouMean(given, names); {
	case question != "" && len(names) == 1:
		return question
	case question != "":
		return question + " " + strings.ToUpper(list[:1]) + list[1:]
	}
	return ": " + list
}

// enumerate joins names as a sentence does.
func enumerate(names []string) string {
	if len(names) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), len(names)-maxListed)
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// maxShown limits how much of a wrong name or value an error shows.
const maxShown = 64

// Shown returns a wrong name or value in quotes, as an error shows it: shortened if it is long.
func Shown(given string) string {
	if utf8.RuneCountInString(given) > maxShown {
		given = string([]rune(given)[:maxShown]) + "…"
	}
	return fmt.Sprintf("%q", given)
}
