package sygnal

import (
	"math/big"
	"slices"
)

// section is a mapping of the file that is being read: each key is asked for once, and what nobody asked for is warned about.
type section struct {
	*adaptation
	path  string
	value *value
	known []string
}

// read reads a mapping; one that is left empty has no keys. It is nil, and that an error, for anything else.
func (a *adaptation) read(v *value, path string) *section {
	switch v.kind {
	case mapping, null:
		s := &section{adaptation: a, path: path, value: v}
		for _, m := range v.members {
			if m.repeated {
				a.warn(m.line, s.at(m.key), "it is given twice; as with Sygnal, the last one counts")
			}
		}
		return s
	default:
		if path == "" {
			path = "the file"
		}
		a.fail(v.line, path, "it is %s, not a mapping", v.kind)
		return nil
	}
}

// at is the path of a key.
func (s *section) at(key string) string {
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

// take is the member of a key; nil if there is none.
func (s *section) take(key string) *member {
	s.known = append(s.known, key)
	return s.value.member(key)
}

// line is where a key stands, or the section if it does not.
func (s *section) line(key string) int {
	if m := s.value.member(key); m != nil {
		return m.line
	}
	return s.value.line
}

// sub is a section in this one. It is empty if it is not there or is not what it has to be.
func (s *section) sub(key string) *section {
	if m := s.take(key); m != nil {
		if sub := s.read(m.value, s.at(key)); sub != nil {
			return sub
		}
	}
	return &section{adaptation: s.adaptation, path: s.at(key), value: &value{kind: mapping, line: s.value.line}}
}

// typed is the scalar of a key, nil if it is not there. Sygnal takes no other type, and a key without a value has the wrong one.
func (s *section) typed(key string, wanted kind) any {
	m := s.take(key)
	if m == nil {
		return nil
	}
	if m.value.kind != wanted {
		s.fail(m.line, s.at(key), "it is %s, not %s%s", m.value.kind, wanted, hint(m.value.kind, wanted))
		return nil
	}
	return m.value.scalar
}

// hint says what helps against a type that YAML found by itself.
func hint(is, wanted kind) string {
	if wanted == text && is != list && is != mapping && is != null {
		return ": put it in quotes"
	}
	return ""
}

// text is a text, empty if there is none.
func (s *section) text(key string) string {
	v, _ := s.typed(key, text).(string)
	return v
}

// required is a text that has to be there.
func (s *section) required(key, why string) string {
	v := s.text(key)
	if m := s.value.member(key); m == nil || m.value.kind == text && v == "" {
		s.fail(s.line(key), s.at(key), "it is missing: %s", why)
	}
	return v
}

// boolean is a boolean, or what it is if there is none.
func (s *section) boolean(key string, otherwise bool) bool {
	if v, ok := s.typed(key, boolean).(bool); ok {
		return v
	}
	return otherwise
}

// number is a whole number between bounds, or what it is if there is none.
func (s *section) number(key string, least, most, otherwise int) int {
	v, ok := s.typed(key, integer).(*big.Int)
	if !ok {
		return otherwise
	}
	return s.bounded(key, v, least, most)
}

func (s *section) bounded(key string, v *big.Int, least, most int) int {
	if !v.IsInt64() || v.Int64() < int64(least) || v.Int64() > int64(most) {
		s.fail(s.line(key), s.at(key), "it is not between %d and %d", least, most)
		return least
	}
	return int(v.Int64())
}

// texts is a list of texts, nil if there is none.
func (s *section) texts(key string) (texts []string) {
	m := s.take(key)
	if m == nil {
		return nil
	}
	if m.value.kind != list {
		s.fail(m.line, s.at(key), "it is %s, not a list", m.value.kind)
		return nil
	}
	texts = []string{}
	for _, item := range m.value.items {
		v, ok := item.scalar.(string)
		if !ok {
			s.fail(item.line, s.at(key), "there is %s in it, not a text%s", item.kind, hint(item.kind, text))
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

// ignore knows a key that says nothing as things are.
func (s *section) ignore(keys ...string) { s.known = append(s.known, keys...) }

// done warns about the keys that nobody asked for.
func (s *section) done() {
	for _, m := range s.value.members {
		if !slices.Contains(s.known, m.key) {
			s.warn(m.line, s.at(m.key), "not carried over: Sygnal knows no such key here")
		}
	}
}
