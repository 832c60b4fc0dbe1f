package sygnal

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// section is a mapping in the file. Each known key is read once; done warns about all others.
type section struct {
	*adaptation
	path  string
	value *value
	known []string
}

// read returns the section of a mapping. An empty value is a section without keys. Anything else is an error, and read returns nil.
func (a *adaptation) read(v *value, path string) *section {
	switch v.kind {
	case mapping, null:
		s := &section{adaptation: a, path: path, value: v}
		for _, m := range v.members {
			if m.repeated {
				a.warn(m.line, s.at(m.key), "given twice; as with Sygnal, the last one counts")
			}
		}
		return s
	default:
		if path == "" {
			path = "the file"
		}
		a.fail(v.line, path, "must be a mapping, not %s", v.kind)
		return nil
	}
}

// at returns the path of a key.
func (s *section) at(key string) string {
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

// take returns the member of a key, or nil, and marks the key as known.
func (s *section) take(key string) *member {
	s.known = append(s.known, key)
	return s.value.member(key)
}

// line returns the line of a key, or of the section if the key is missing.
func (s *section) line(key string) int {
	if m := s.value.member(key); m != nil {
		return m.line
	}
	return s.value.line
}

// sub returns a section in this one. It is empty if it is missing or not a mapping.
func (s *section) sub(key string) *section {
	if m := s.take(key); m != nil {
		if sub := s.read(m.value, s.at(key)); sub != nil {
			return sub
		}
	}
	return &section{adaptation: s.adaptation, path: s.at(key), value: &value{kind: mapping, line: s.value.line}}
}

// typed returns the scalar of a key; nil if the key is missing. As with Sygnal, another type is an error, and so is a key without a value.
func (s *section) typed(key string, wanted kind) any {
	m := s.take(key)
	if m == nil {
		return nil
	}
	if m.value.kind != wanted {
		s.fail(m.line, s.at(key), "must be %s, not %s%s", wanted, m.value.kind, hint(m.value.kind, wanted))
		return nil
	}
	return m.value.scalar
}

// hint returns what to do if YAML took a string for another type.
func hint(is, wanted kind) string {
	if wanted == text && is != list && is != mapping && is != null {
		return ": put it in quotes"
	}
	return ""
}

// text returns the string of a key; empty if it is missing.
func (s *section) text(key string) string {
	v, _ := s.typed(key, text).(string)
	return v
}

// required returns the string of a key, which must not be missing or empty.
func (s *section) required(key, why string) string {
	v := s.text(key)
	if m := s.value.member(key); m == nil || m.value.kind == text && v == "" {
		s.fail(s.line(key), s.at(key), "missing: %s%s", why, s.misspelt(key))
	}
	return v
}

// misspelt returns the end of an error about a missing key, if another key was probably meant for it.
func (s *section) misspelt(key string) string {
	for _, m := range s.value.members {
		if question := nearest.DidYouMean(m.key, []string{key}); question != "" && !slices.Contains(s.known, m.key) {
			return fmt.Sprintf(". Line %d has %s%s", m.line, nearest.Shown(m.key), question)
		}
	}
	return ""
}

// boolean returns the boolean of a key, or otherwise if it is missing.
func (s *section) boolean(key string, otherwise bool) bool {
	if v, ok := s.typed(key, boolean).(bool); ok {
		return v
	}
	return otherwise
}

// number returns the whole number of a key, within bounds, or otherwise if it is missing.
func (s *section) number(key string, least, most, otherwise int) int {
	v, ok := s.typed(key, integer).(*big.Int)
	if !ok {
		return otherwise
	}
	return s.bounded(key, v, least, most)
}

func (s *section) bounded(key string, v *big.Int, least, most int) int {
	if !v.IsInt64() || v.Int64() < int64(least) || v.Int64() > int64(most) {
		s.fail(s.line(key), s.at(key), "must be between %d and %d", least, most)
		return least
	}
	return int(v.Int64())
}

// texts returns the list of strings of a key; nil if it is missing.
func (s *section) texts(key string) (texts []string) {
	m := s.take(key)
	if m == nil {
		return nil
	}
	if m.value.kind != list {
		s.fail(m.line, s.at(key), "must be a list, not %s", m.value.kind)
		return nil
	}
	texts = []string{}
	for _, item := range m.value.items {
		v, ok := item.scalar.(string)
		if !ok {
			s.fail(item.line, s.at(key), "contains %s, but must contain only strings%s", item.kind, hint(item.kind, text))
		}
		texts = append(texts, v)
	}
	return texts
}

// drop warns that a key is not carried over, and why.
func (s *section) drop(key, why string) {
	if m := s.take(key); m != nil {
		s.warn(m.line, s.at(key), "not carried over: %s", why)
	}
}

// ignore marks keys as known that have no effect.
func (s *section) ignore(keys ...string) { s.known = append(s.known, keys...) }

// done warns about unknown keys.
func (s *section) done() {
	for _, m := range s.value.members {
		if !slices.Contains(s.known, m.key) {
			s.warn(m.line, s.at(m.key), "not carried over: Sygnal has no such key here%s", nearest.DidYouMean(m.key, s.known))
		}
	}
}
