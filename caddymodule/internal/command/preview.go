package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// sends reports whether the gateway would send a homeserver's notification.
func sends(p gateway.Preview) bool { return p.Result == "sent" && !p.OnRecord }

// preview prints what the gateway would send.
func (i *invocation) preview(p gateway.Preview) {
	switch {
	case sends(p):
		i.say(green, "Nothing was sent. The gateway would send this notification to its push service.")
	case len(p.Requests) > 0:
		i.say(red, "Nothing was sent. The gateway would reject this notification if it came from a homeserver.")
	default:
		i.say(red, "Nothing was sent. The gateway would not send this notification to its push service.")
	}
	i.facts([][2]string{
		{"App", p.App + " (" + p.Provider + ")"},
		{"Pushkey hash", p.PushkeyHash},
		{"Received at", p.Site},
		{"Content", p.Content},
		{"Withheld", strings.Join(p.Withheld, ", ")},
		{"Outcome", outcomeOf(p)},
		{"Detail", p.Detail},
		{"Meaning", p.Explanation},
		{"Normally", normally(p.Result, p.OnRecord)},
		{"Note", p.Note},
	})
	for n, r := range p.Requests {
		fmt.Fprintln(i.out)
		if n == 0 {
			i.request(r)
		} else { // --json shows it whole
			i.say(plain, "If the push service finds this too large, the gateway sends %s instead, without: %s.",
				count(r.Size, "byte", "bytes"), strings.Join(slices.Concat(r.Omitted, r.Shortened), ", "))
		}
	}
}

func outcomeOf(p gateway.Preview) string {
	if p.Outcome == "" {
		return ""
	}
	return p.Outcome + ": " + p.Reason
}

// request prints a request as HTTP writes it, and what was changed to make it fit. A body that is JSON is indented.
func (i *invocation) request(r gateway.PreviewedRequest) {
	size := count(r.Size, "byte", "bytes")
	if r.WholeSize > 0 {
		size += fmt.Sprintf(" (%d without the size limit)", r.WholeSize)
	}
	if r.Encrypted {
		size += ", before it is encrypted for the device"
	}
	i.facts([][2]string{
		{"Body", size},
		{"Omitted", strings.Join(r.Omitted, ", ")},
		{"Shortened", strings.Join(r.Shortened, ", ")},
	})
	fmt.Fprintln(i.out)
	fmt.Fprintln(i.out, i.style.paint(bold, printable(r.Method+" "+r.URL)))
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintln(i.out, printable(name+": "+r.Headers[name]))
	}
	fmt.Fprintln(i.out)
	var body bytes.Buffer
	switch {
	case r.BodyBase64 != nil:
		body.WriteString("(not text; see --json)")
	case json.Indent(&body, []byte(r.Body), "", "  ") != nil:
		body.Reset()
		body.WriteString(r.Body)
	}
	for line := range strings.SplitSeq(body.String(), "\n") {
		fmt.Fprintln(i.out, printable(line))
	}
}
