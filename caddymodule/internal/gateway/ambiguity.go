package gateway

// Serving says which of two patterns serves the app_ids that match both: "" if none does, or if neither is more specific, which is a
// configuration that does not load.
func Serving(a, b string) string {
	switch order := compareSpecificity(a, b); {
	case !isGlob(a) || !isGlob(b) || order == 0 || !overlap(a, b):
		return ""
	case order > 0:
		return a
	default:
		return b
	}
}
