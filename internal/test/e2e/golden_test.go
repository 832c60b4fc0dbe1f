package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const rule = "\n----------\n"

// TestWhatEachServiceGets runs the files in testdata/wire: what a homeserver posts, a rule, and the request that a push service gets for
// it, with all its headers and its body as the device reads it. There is a file for each thing that a client gets, and for each row of
// Sygnal's tables (*_sygnal_*): its localisation table, and the flattened names of its data.
//
// Values that differ from run to run are checked, and then replaced by forms: <token>, <uuid>, <in 24h>, and <24h> for the time that
// remains. In posted bodies, pushServerName is the push server of Web Push and UnifiedPush. An endpoint is named after its file.
func TestWhatEachServiceGets(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wire/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	w := newWire(t)
	for _, file := range files { // one after the other, so everything that arrives belongs to this file
		name := strings.TrimSuffix(filepath.Base(file), ".golden")
		t.Run(name, func(t *testing.T) {
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			posted, want, _ := strings.Cut(string(golden), rule)
			got := w.post(t, name, posted)
			if *update && !t.Failed() {
				if err := os.WriteFile(file, []byte(strings.TrimRight(posted, "\n")+rule+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want = strings.TrimSpace(want); want == "" {
				t.Fatal("the file expects nothing; run the test with -update")
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
