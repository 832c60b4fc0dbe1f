package sygnal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is the type of a value as Sygnal sees it.
type kind string

const (
	null    kind = "null"
	boolean kind = "a boolean"
	integer kind = "a whole number"
	decimal kind = "a decimal number"
	text    kind = "a string"
	list    kind = "a list"
	mapping kind = "a mapping"
)

// value is a value in the file as Sygnal sees it.
type value struct {
	kind    kind
	line    int
	scalar  any      // bool, *big.Int, float64 or string
	items   []*value // of a list
	members []member // of a mapping, each key once
}

type member struct {
	key      string
	line     int
	value    *value
	repeated bool // the key was there before
}

func (v *value) member(key string) *member {
	for i := range v.members {
		if v.members[i].key == key {
			return &v.members[i]
		}
	}
	return nil
}

// put sets a member. The last one of a key counts.
func (v *value) put(m member) {
	if before := v.member(m.key); before != nil {
		*before = m
		return
	}
	v.members = append(v.members, m)
}

// parse parses a file with one document. Sygnal uses PyYAML's safe loader, which implements YAML 1.1. The parser here implements YAML 1.2,
// so only its nodes are used, and their meaning is decided here.
func parse(body []byte) (*value, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return &value{kind: null, line: 1}, nil
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	switch err := decoder.Decode(new(yaml.Node)); {
	case err == nil:
		return nil, errors.New("the file has more than one YAML document")
	case !errors.Is(err, io.EOF):
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return new(converter).convert(&document)
}

// Limits for a file whose aliases multiply its size, or contain themselves.
const (
	maxValues = 100_000
	maxDepth  = 100
)

// converter converts nodes to values.
type converter struct {
	values, depth int
}

func (c *converter) convert(n *yaml.Node) (*value, error) {
	c.values++
	c.depth++
	defer func() { c.depth-- }()
	if c.values > maxValues || c.depth > maxDepth {
		return nil, at(n, "the YAML is too large or too deep, or an alias contains itself")
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return c.convert(n.Content[0])
	case yaml.AliasNode:
		return c.convert(n.Alias)
	case yaml.SequenceNode:
		return c.sequence(n)
	case yaml.MappingNode:
		return c.mapping(n)
	default:
		return scalar(n)
	}
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

func (c *converter) sequence(n *yaml.Node) (*value, error) {
	if tag := n.ShortTag(); tag != "!!seq" {
		return nil, at(n, "the tag %s is not supported for a list", tag)
	}
	v := &value{kind: list, line: n.Line}
	for _, item := range n.Content {
		converted, err := c.convert(item)
		if err != nil {
			return nil, err
		}
		v.items = append(v.items, converted)
	}
	return v, nil
}

func (c *converter) mapping(n *yaml.Node) (*value, error) {
	if tag := n.ShortTag(); tag != "!!map" {
		return nil, at(n, "the tag %s is not supported for a mapping", tag)
	}
	v := &value{kind: mapping, line: n.Line}
	for i := 0; i < len(n.Content); i += 2 { // merged keys come first, so the mapping's own keys replace them
		if key := n.Content[i]; isMerge(key) {
			if err := c.merge(v, n.Content[i+1]); err != nil {
				return nil, err
			}
		}
	}
	own := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			continue
		}
		m, err := c.member(n.Content[i], n.Content[i+1])
		if err != nil {
			return nil, err
		}
		m.repeated = own[m.key]
		own[m.key] = true
		v.put(m)
	}
	return v, nil
}

func (c *converter) member(key, content *yaml.Node) (member, error) {
	name, err := c.convert(key)
	if err != nil {
		return member{}, err
	}
	if name.kind != text {
		return member{}, at(key, "a key must be a string, not %s: put it in quotes", name.kind)
	}
	v, err := c.convert(content)
	return member{key: name.scalar.(string), line: key.Line, value: v}, err
}

// isMerge reports whether a key merges the keys of other mappings, https://yaml.org/type/merge.html.
func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Style == 0 && key.Value == "<<"
}

// merge adds the members of a mapping, or of a list of mappings, to v. For each key, the first mapping counts.
func (c *converter) merge(v *value, from *yaml.Node) error {
	source, err := c.convert(from)
	if err != nil {
		return err
	}
	sources := []*value{source}
	if source.kind == list {
		sources = source.items
	}
	for _, s := range sources {
		if s.kind != mapping {
			return at(from, "<< must be a mapping or a list of mappings, not %s", s.kind)
		}
		for _, m := range s.members {
			if v.member(m.key) == nil {
				v.put(m)
			}
		}
	}
	return nil
}
