package caddymodule

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/apns"
	"github.com/matrix-push/caddy-matrix-push/providers/fcm"
	"github.com/matrix-push/caddy-matrix-push/providers/unifiedpush"
	"github.com/matrix-push/caddy-matrix-push/providers/webpush"
)

func TestBadgesAreAsTheOperatorSaysOrElseTheProvider(t *testing.T) {
	t.Parallel()
	// Browsers cancel a subscription that gets pushes without a notification to show: https://webkit.org/blog/12945/meet-web-push/.
	defaults := map[string]providers.Badges{
		"apns": providers.BadgesOn, "fcm": providers.BadgesOn, "unifiedpush": providers.BadgesOn, "webpush": providers.BadgesWithEvents,
	}
	made := map[string]providers.Provider{
		"apns": new(apns.Provider), "fcm": new(fcm.Provider), "unifiedpush": new(unifiedpush.Provider), "webpush": new(webpush.Provider),
	}
	for name, provider := range made {
		for option, want := range map[string]providers.Badges{
			"": defaults[name], "on": providers.BadgesOn, "with_events": providers.BadgesWithEvents, "off": providers.BadgesOff,
		} {
			app := &gateway.App{Pattern: "a", ProviderName: name, Provider: provider}
			if err := (&AppConfig{Badges: option}).policy(app, false); err != nil || app.Badges != want {
				t.Errorf("%s with badges %q: %d, want %d (%v)", name, option, app.Badges, want, err)
			}
			warned := slices.ContainsFunc(planned(app, time.Now()).Warnings, func(w string) bool { return strings.HasPrefix(w, "badges on: ") })
			if warned != (name == "webpush" && option == "on") {
				t.Errorf("check warns of %s with badges %q: %v", name, option, warned)
			}
		}
		for _, option := range []string{"yes", "On", "with-events", " off"} {
			err := (&AppConfig{Badges: option}).policy(&gateway.App{Provider: provider}, false)
			if want := `badges: "` + option + `" is not valid: use on, with_events or off`; err == nil || err.Error() != want {
				t.Errorf("badges %q: %v, want %s", option, err, want)
			}
		}
	}
}
