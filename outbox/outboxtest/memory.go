package outboxtest

import (
	"context"
	"time"
)

// memory is what a queue remembers, read before a time.
type memory struct {
	f    *fixture
	what string
	keys map[[16]byte]bool
	read time.Time
}

func (f *fixture) remembered(what string, read func(context.Context, func([16]byte)) error) memory {
	f.Helper()
	m := memory{f: f, what: what, keys: make(map[[16]byte]bool)}
	if err := read(f.Context(), func(key [16]byte) { m.keys[key] = true }); err != nil {
		f.Fatalf("what is %s cannot be read: %v", what, err)
	}
	m.read = time.Now()
	return m
}

// has reports whether these are remembered, and no others.
func (m memory) has(names ...string) bool {
	for _, name := range names {
		if !m.keys[device(name)] {
			return false
		}
	}
	return len(m.keys) == len(names)
}

func (m memory) expect(names ...string) {
	m.f.Helper()
	if m.has(names...) {
		return
	}
	for _, name := range names {
		if !m.keys[device(name)] {
			m.f.Errorf("%s is not %s", name, m.what)
		}
	}
	m.f.Errorf("%d are %s, want %d", len(m.keys), m.what, len(names))
}

// expectBefore expects these, unless the machine was so slow that some may have ended when they were read.
func (m memory) expectBefore(end time.Time, names ...string) {
	m.f.Helper()
	if m.read.Before(end.Add(-moment)) {
		m.expect(names...)
	}
}

// eventually waits until these are remembered, and no others. A server counts a time from when it hears of it, which may be later.
func (f *fixture) eventually(read func() memory, names ...string) {
	f.Helper()
	for end := time.Now().Add(patience); ; {
		m := read()
		if m.has(names...) || m.read.After(end) {
			m.expect(names...)
			return
		}
		time.Sleep(moment / 5)
	}
}
