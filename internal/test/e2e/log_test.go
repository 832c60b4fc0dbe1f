package e2e

import (
	"strings"
	"testing"
)

func TestDataRacesAreFound(t *testing.T) {
	t.Parallel()
	const (
		head = "serving\n==================\nWARNING: DATA RACE\n"
		tail = "==================\nmore\n"
		ours = "Read at 0x01 by goroutine 7:\n  gateway.(*Gateway).Notify()\nPrevious write at 0x01 by goroutine 8:\n  gateway.(*Gateway).Stop()\n"
		own  = "Read at 0x01 by goroutine 7:\n  caddytls.(*TLS).CaddyModule()\nPrevious write at 0x01 by main goroutine:\n  caddytls.(*TLS).Start()\n"
		http = "Write at 0x01 by goroutine 7:\n  caddyhttp.(*Server).serveHTTP3()\n  caddyhttp.(*App).Start()\n" +
			"Previous read at 0x01 by goroutine 8:\n  caddyhttp.(*Server).ServeHTTP()\n"
	)
	clean := strings.Replace(own, "Start()", "keepStorageClean()\n  caddytls.(*TLS).Start()", 1)
	below := strings.Replace(http, "  caddy", "  quic.Listen()\n  caddy", 1)
	for name, test := range map[string]struct{ log, want string }{
		"none":           {"serving\n", ""},
		"ours":           {head + ours + tail, "\n" + ours},
		"Caddy's own":    {head + own + tail, ""},
		"its cleaning":   {head + clean + tail, ""},
		"Caddy's HTTP/3": {head + http + tail, ""},
		"below HTTP/3":   {head + below, "\n" + below},
		"each of two":    {head + ours + tail + head + ours, "\n" + ours + "\n" + ours},
		"one beside it":  {head + own + tail + head + ours + tail, "\n" + ours},
		"half of it":     {head + strings.Replace(own, "Start()", "Stop()", 1), "\n" + strings.Replace(own, "Start()", "Stop()", 1)},
		"cut in between": {head + ours[:20], "\n" + ours[:20]},
	} {
		if got := dataRaces(test.log); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
