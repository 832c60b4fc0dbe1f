package subscriber

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// introduction returns the values to register pushers with.
func (s *Server) introduction() string {
	return fmt.Sprintf(`Web Push (with the public test keys of RFC 8291: only for demonstrations)
  pushkey        %s
  data.endpoint  %s
  data.auth      %s

UnifiedPush
  pushkey        %s

Control
  curl -k      <endpoint>                         the last messages
  curl -k -X PUT '<endpoint>?answer=410&times=1'    answer 410 once; also 413, 429, 503, hang, drop, ok; retry_after=<seconds>

`, s.webPush.P256dh, s.webPush.Endpoint, s.webPush.Auth, s.up)
}

// print shows a message.
func (s *Server) print(m providertest.Message) {
	var b strings.Builder
	answer := fmt.Sprintf("answered %d", m.Status)
	if m.Status == 0 {
		answer = "not answered"
	}
	fmt.Fprintf(&b, "── %s  %s  %s\n", m.Time.Format("15:04:05.000"), m.Path, answer)
	fmt.Fprintf(&b, "   TTL %d  Urgency %s  Topic %s\n", m.TTL, orNone(m.Urgency), orNone(m.Topic))
	if m.Encrypted {
		fmt.Fprintf(&b, "   encrypted (aes128gcm, %d bytes, decrypted below)", m.Size)
	} else {
		fmt.Fprintf(&b, "   not encrypted (%d bytes)", m.Size)
	}
	if m.VAPID {
		fmt.Fprintf(&b, "  VAPID verified, subject %s", orNone(m.Subject))
	} else {
		b.WriteString("  no valid VAPID")
	}
	b.WriteString("\n")
	for _, violation := range m.Violations {
		fmt.Fprintf(&b, "   refused: %s\n", violation)
	}
	b.WriteString(indented(m.Body) + "\n\n")
	s.write(b.String())
}

// orNone escapes a header, which may have any characters.
func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return strings.Trim(fmt.Sprintf("%q", s), `"`)
}

// indented returns a body: JSON in lines, and anything else quoted, so it cannot send control characters to a terminal.
func indented(body []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, body, "   ", "  "); err != nil {
		return fmt.Sprintf("   %q", body)
	}
	return "   " + b.String()
}

// write writes a block without others in between.
func (s *Server) write(text string) {
	s.printing.Lock()
	defer s.printing.Unlock()
	_, _ = io.WriteString(s.options.Out, text) // an error could not be reported anywhere
}
