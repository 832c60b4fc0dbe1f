package gateway

import "testing"

func TestServingIsTheMoreSpecificOfTwoPatternsThatOverlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, a, b, want string }{
		{"a longer literal prefix", "org.example.*", "org.example.ios.*", "org.example.ios.*"},
		{"more literal characters", "org.*", "org.*.ios", "org.*.ios"},
		{"a character that may be any", "org.example.?", "org.*", "org.example.?"},
		{"patterns that nothing matches both of", "org.*", "com.example.*", ""},
		{"an app_id and a pattern", "org.example.ios", "org.example.*", ""},
		{"patterns of which neither is more specific", "org.*a", "org.?*a", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Serving(tt.a, tt.b); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := Serving(tt.b, tt.a); got != tt.want {
				t.Errorf("the other way round: got %q, want %q", got, tt.want)
			}
		})
	}
}
