package component

import (
	"bytes"
	"testing"
)

// BenchmarkPublish measures what the stream adds to the cost of a push: reading a publish, and checking the answer.
func BenchmarkPublish(b *testing.B) {
	stanza := bytes.TrimSpace(read(b, "../stanza/testdata/p13-offline-chat.xml"))
	result := answer(stanza, "result")
	s := newScanner(&repeated{header: header, stanza: stanza}, defaultMaxStanza)
	if _, err := s.header(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.next(func() {}); err != nil {
			b.Fatal(err)
		}
		if err := checkOutgoing(result, "push.example.test"); err != nil {
			b.Fatal(err)
		}
	}
}

// repeated reads as a header, and then as the same stanza again and again.
type repeated struct {
	header string
	stanza []byte
	rest   []byte
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.header != "" {
		n := copy(p, r.header)
		r.header = r.header[n:]
		return n, nil
	}
	if len(r.rest) == 0 {
		r.rest = r.stanza
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
