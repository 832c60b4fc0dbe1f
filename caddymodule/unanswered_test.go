package caddymodule

import "testing"

func TestOnlyAPathThatANotificationCouldHaveIsWorthALine(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": true, "//": true, "": true, "/notify": true, "/v1/notify": true, "/v1/notify/": true, "/push/_matrix/push/v1/notify": true,
		"/_matrix/push": true, "/_matrix/push/": true,
		"/xmlrpc.php": false, "/wp-login.php": false, "/notifying": false, "/_matrix/pusher": false, "/_matrix/client/v3/login": false, "/renotify": false,
	} {
		if got := looksLikeNotify(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}
