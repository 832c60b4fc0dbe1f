package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// preview prints what the gateway would send.
func (i *invocation) preview(p gateway.Preview) {
	i.described(describe.Preview(p), seeRecord)
	for n, r := range p.Requests {
		fmt.Fprintln(i.out)
		if n == 0 {
			i.request(r)
		} else { // --json shows it whole
			i.say(plain, "If the push service finds this too large, the gateway sends %s instead, without: %s.",
				describe.Count(r.Size, "byte", "bytes"), strings.Join(slices.Concat(r.Omitted, r.Shortened), ", "))
		}
	}
}

// request prints a request as HTTP writes it, and what was changed to make it fit. A body that is JSON is indented.
func (i *invocation) request(r gateway.PreviewedRequest) {
	i.facts([][2]string{
		{"Body", describe.Size(r)},
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
