package nearest_test

import (
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

func TestAMisspeltNameHasTheNearestName(t *testing.T) {
	t.Parallel()
	options := []string{"key_file", "key_id", "team_id", "topic", "environment", "endpoint", "proxy", "vapid_subject"}
	apps := []string{"im.vector.app.ios", "im.vector.app.android", "com.example.*", "w"}
	for _, tt := range []struct {
		name, given string
		among       []string
		want        string
	}{
		{"a separator left out", "keyfile", options, "key_file"},
		{"another separator", "key-file", options, "key_file"},
		{"capitals", "teamID", options, "team_id"},
		{"a letter too many", "topicc", options, "topic"},
		{"two letters swapped", "prxoy", options, "proxy"},
		{"a letter left out", "enviroment", options, "environment"},
		{"another letter", "endpoind", options, "endpoint"},
		{"the beginning of a name", "vapid", options, "vapid_subject"},
		{"a name with something behind it", "proxy_address", options, "proxy"},
		{"nothing similar", "badges", options, ""},
		{"nothing at all", "", options, ""},
		{"no names", "topic", nil, ""},
		{"a provider", "apn", []string{"apns", "fcm"}, "apns"},
		{"a command", "sned", []string{"send", "status"}, "send"},
		{"an app_id", "im.vectro.app.ios", apps, "im.vector.app.ios"},
		{"an app_id that a pattern would match", "com.exmple.ios", apps, "com.example.*"},
		{"a single letter does not let anybody guess", "x", apps, ""},
		{"a pattern for everything is similar to nothing", "im.other", []string{"*"}, ""},
		{"letters outside ASCII", "trés_long", options, ""},
		{"a very long name", strings.Repeat("topic", 1000), options, ""},
		{"the nearer of two", "key_i", options, "key_id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := nearest.Name(tt.given, tt.among); got != tt.want {
				t.Errorf("Name(%q) = %q, want %q", tt.given, got, tt.want)
			}
		})
	}
}

func TestAnErrorAsksForTheNearestName(t *testing.T) {
	t.Parallel()
	if got, want := nearest.DidYouMean("apn", []string{"fcm", "apns"}), `: did you mean "apns"?`; got != want {
		t.Errorf("DidYouMean = %q, want %q", got, want)
	}
	if got := nearest.DidYouMean("gotify", []string{"fcm", "apns"}); got != "" {
		t.Errorf("DidYouMean = %q for a name that is similar to nothing", got)
	}
}
