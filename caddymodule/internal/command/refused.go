package command

import (
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

// refused shows which notifications were refused before any of their devices was handled. Anybody can send such requests, so they are no
// problem of the gateway by themselves.
func (i *invocation) refused(list []telemetry.Refusal) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(i.out)
	i.say(yellow, "The gateway refused notifications within the last hour. If your homeserver or proxy sent them, check its settings:")
	t := newTable("REASON", "SITE", "COUNT", "LAST", "ANSWER", "WHAT TO DO")
	for _, r := range list {
		t.add(cells(r.Reason, r.Site, fmt.Sprint(r.Count), i.when(r.Last), r.Error, r.Hint)...)
	}
	t.write(i.out, i.style)
}
