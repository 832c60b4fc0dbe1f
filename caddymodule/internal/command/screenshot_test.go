package command

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// images is the folder with the pictures in the documentation.
const images = "../../../docs/images"

const pictured = `{"status":"degraded","degraded":[{"app":"org.example.ios.beta","reason":"misconfigured","detail":"invalid_provider_token","since":"2026-03-14T11:50:00Z"}],` +
	`"rejected":"file","outbox":"file","rejected_records":12,"apps":[` +
	`{"app":"org.example.ios.beta","provider":"apns","breaker":"closed","in_flight":0,"fuse":{"app":"org.example.ios.beta","dead":0,"pushkeys":9},` +
	`"outbox":{"entries":4,"devices":2,"oldest":"2026-03-14T11:50:00Z"},"proven":true,"last_delivered":"2026-03-14T11:49:18Z","troubles":[` +
	`{"reason":"invalid_provider_token","count":7,"first":"2026-03-14T11:50:00Z","last":"2026-03-14T11:58:00Z","alarm":true}]},` +
	`{"app":"org.example.up","provider":"unifiedpush","in_flight":0,"fuse":{"app":"org.example.up","dead":0,"pushkeys":9},` +
	`"outbox":{"entries":0,"devices":0},"proven":true,"last_delivered":"2026-03-14T11:59:18Z","troubles":[]}]}`

// The pictures in the documentation are what the command shows on a terminal of 80 columns.
func TestThePicturesShowWhatTheCommandShows(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	for _, tt := range []struct{ name, route, answer, args string }{
		{"status", "apps", pictured, "status"},
		{"explain", "rejected/explain", dead, "rejected explain --hash ab12cd34"},
	} {
		r := world{columns: 80, terminal: true}.ask(t, newAPI(t, map[string][]string{tt.route: {tt.answer}}), strings.Fields(tt.args)...)
		got := picture("$ caddy matrix-push " + tt.args + "\n" + r.out)
		file := filepath.Join(images, tt.name+".svg")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s does not show what the command shows (run the test with -update): %v\n%s", file, err, r.out)
		}
	}
}

// shades are the colours of the picture.
var shades = map[string]string{string(red): "#ff7b72", string(green): "#7ee787", string(yellow): "#e3b341"}

// picture returns an SVG of a terminal with a text.
func picture(text string) string {
	const columnWidth, lineHeight, margin = 8.4, 18, 14
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var b strings.Builder
	width, height := int(80*columnWidth)+2*margin, len(lines)*lineHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, height, width, height)
	b.WriteString(`<rect width="100%" height="100%" rx="6" fill="#0d1117"/>` + "\n" +
		`<g font-family="ui-monospace,Menlo,Consolas,monospace" font-size="14" fill="#c9d1d9">` + "\n")
	style := ""
	for n, line := range lines {
		fmt.Fprintf(&b, `<text x="%d" y="%d">`, margin, margin+n*lineHeight+14)
		column := 0
		for part := range strings.SplitSeq(line, "\x1b[") {
			if code, rest, ok := strings.Cut(part, "m"); ok && (code == "0" || shades[code] != "" || code == string(bold)) {
				style, part = attributes(code), rest
			}
			if part != "" {
				fmt.Fprintf(&b, `<tspan x="%.1f"%s>%s</tspan>`, margin+float64(column)*columnWidth, style, html.EscapeString(strings.ReplaceAll(part, " ", "\u00a0"))) // such spaces are never joined
				column += columns(part)
			}
		}
		b.WriteString("</text>\n")
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// attributes returns the attributes of a text in a colour.
func attributes(code string) string {
	switch shade := shades[code]; {
	case code == string(bold):
		return ` font-weight="bold"`
	case shade != "":
		return ` fill="` + shade + `"`
	default:
		return ""
	}
}
