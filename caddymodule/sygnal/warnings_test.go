package sygnal_test

import (
	"fmt"
	"strings"
	"testing"
)

// A migration logged 13 warnings at each start and each reload, most of them about the same key of another app.
func TestManyAppsWithTheSameKeyGiveOneWarning(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	file.WriteString("apps:\n")
	for i := range 10 {
		fmt.Fprintf(&file, "  org.example.app%d:\n    type: webpush\n    vapid_private_key: key.pem\n    vapid_contact_email: ops@example.org\n    max_connections: 20\n", i)
	}
	_, warnings, err := adapt([]byte(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	var about []string
	for line := range strings.Lines(warnings) {
		if strings.Contains(line, "max_connections") {
			about = append(about, line)
		}
	}
	if len(about) != 1 || !strings.HasPrefix(about[0], "sygnal.yaml:6: apps.org.example.app0.max_connections, apps.org.example.app1.max_connections (line 11), ") ||
		!strings.Contains(about[0], "apps.org.example.app9.max_connections (line 51): not carried over: ") {
		t.Errorf("the warnings about max_connections are\n%s", strings.Join(about, ""))
	}
}
