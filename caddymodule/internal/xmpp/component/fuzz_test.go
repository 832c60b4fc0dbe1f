package component

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// FuzzStream reads what a server sends from the stream's first byte. Each stanza must be complete and bounded, must not depend on how the
// bytes were split, and must come back equal when it is read again.
func FuzzStream(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	for _, c := range hostile {
		if len(c.xml) < 4<<10 {
			f.Add([]byte(header + c.xml))
		}
	}
	for _, c := range skipped {
		if len(c.xml) < 4<<10 {
			f.Add([]byte(header + c.xml))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 4 << 10
		whole, wholeErr := scanAll(bytes.NewReader(stream), limit)
		split, splitErr := scanAll(oneByte{bytes.NewReader(stream)}, limit)
		if len(whole) != len(split) || wholeErr.Error() != splitErr.Error() {
			t.Fatalf("%d stanzas and %v, or %d and %v", len(whole), wholeErr, len(split), splitErr)
		}
		for i, e := range whole {
			if len(e.raw) > limit || !bytes.Equal(e.raw, split[i].raw) || e.fault != split[i].fault {
				t.Fatalf("got %q and %q", e.raw, split[i].raw)
			}
			if e.fault != "" {
				continue
			}
			var any struct{ XMLName xml.Name }
			if err := xml.Unmarshal(e.raw, &any); err != nil || any.XMLName.Local != e.name.Local {
				t.Fatalf("%q: %v", e.raw, err)
			}
			again, _ := scanAll(strings.NewReader(header+string(e.raw)), limit)
			if len(again) != 1 || !bytes.Equal(again[0].raw, e.raw) {
				t.Fatalf("%q was read again as %v", e.raw, again)
			}
			_ = checkOutgoing(e.raw, "push.example.test")
		}
	})
}

// scanAll reads a stream to its end.
func scanAll(r io.Reader, limit int) (elements []*element, err error) {
	s := newScanner(r, limit)
	if _, err := s.header(); err != nil {
		return nil, err
	}
	for {
		e, err := s.next(func() {})
		if err != nil {
			return elements, err
		}
		elements = append(elements, e)
	}
}

var received = regexp.MustCompile(`(?m)^<< (.*)$`)

// seeds are the recorded streams, and the recorded stanzas after a header.
func seeds(t testing.TB) (seeds [][]byte) {
	t.Helper()
	stanzas, err := filepath.Glob("../stanza/testdata/*.xml")
	if err != nil || len(stanzas) < 30 {
		t.Fatalf("there are %d recorded stanzas: %v", len(stanzas), err)
	}
	for _, name := range stanzas {
		seeds = append(seeds, append([]byte(header), read(t, name)...))
	}
	for _, name := range []string{"testdata/p13-stream.txt", "testdata/ej-stream.txt"} {
		for _, line := range received.FindAllSubmatch(read(t, name), -1) {
			seed := line[1]
			if !bytes.Contains(seed, []byte("<stream:stream")) {
				seed = append([]byte(header), seed...)
			}
			seeds = append(seeds, seed)
		}
	}
	return seeds
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestTheRecordedStanzasAreRead(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(t) {
		elements, err := scanAll(bytes.NewReader(seed), defaultMaxStanza)
		if failureOf(err).Reason != Closed {
			t.Errorf("%s: %v", seed, err)
		}
		for _, e := range elements {
			if e.fault != "" || e.name.Space != Namespace && e.name.Space != streams {
				t.Errorf("%s: got %v", seed, e.name)
			}
			if e.name.Local == "error" && failureOf(streamError(e.condition)).Reason == undefined {
				t.Errorf("%s: got the condition %q", seed, e.condition)
			}
		}
	}
}
