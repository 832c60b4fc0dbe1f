package gateway

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// lost compares two bodies, and returns which members of the whole one the other lacks, and which it has only in part, such as
// content.body. It returns none if they are not both JSON.
func lost(whole, body []byte) (omitted, shortened []string) {
	omitted, shortened = []string{}, []string{}
	var w, b any
	if len(whole) == 0 || lenient.Unmarshal(whole, &w) != nil || lenient.Unmarshal(body, &b) != nil {
		return omitted, shortened
	}
	compare("", w, b, &omitted, &shortened)
	return omitted, shortened
}

// compare adds what is missing in a value to the lists. The path leads to the value.
func compare(path string, whole, part any, omitted, shortened *[]string) {
	switch w := whole.(type) {
	case map[string]any:
		p, ok := part.(map[string]any)
		if !ok {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			inner := name
			if path != "" {
				inner = path + "." + name
			}
			if value, ok := p[name]; ok {
				compare(inner, w[name], value, omitted, shortened)
			} else {
				*omitted = append(*omitted, inner)
			}
		}
		return
	case []any:
		p, ok := part.([]any)
		if !ok || len(p) != len(w) {
			break
		}
		for i := range w {
			compare(fmt.Sprintf("%s[%d]", path, i), w[i], p[i], omitted, shortened)
		}
		return
	}
	if !reflect.DeepEqual(whole, part) {
		*shortened = append(*shortened, path)
	}
}
