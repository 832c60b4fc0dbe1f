package sygnal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is what a value is to Sygnal.
type kind string

const (
	null    kind = "nothing"
	boolean kind = "a boolean"
	integer kind = "a whole number"
	decimal kind = "a decimal number"
	text    kind = "a text"
	list    kind = "a list"
	mapping kind = "a mapping"
)

// value is a value of the file as Sygnal would see it.
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

// put sets a member; the last one of a key counts.
func (v *value) put(m member) {
	if before := v.member(m.key); before != nil {
		*before = m
		return
	}
	v.members = append(v.members, m)
}

// parse reads the one document of a file. Sygnal reads it with PyYAML's safe loader, which knows YAML 1.1; the parser here is one for
// YAML 1.2, so that only its nodes are used, and what they mean is decided here.
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
		return nil, errors.New("there is more than one YAML document in it")
	case !errors.Is(err, io.EOF):
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return new(converter).convert(&document)
}

// Bounds for a file whose aliases make more of it than there is, or are within themselves.
const (
	maxValues = 100_000
	maxDepth  = 100
)

// converter makes values of nodes.
type converter struct {
	values, depth int
}

func (c *converter) convert(n *yaml.Node) (*value, error) {
	c.values++
	c.depth++
	defer func() { c.depth-- }()
	if c.values > maxValues || c.depth > maxDepth {
		return nil, at(n, "the YAML is too large or too deep, or an alias is within itself")
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
		return nil, at(n, "a list with the tag %s", tag)
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
		return nil, at(n, "a mapping with the tag %s", tag)
	}
	v := &value{kind: mapping, line: n.Line}
	for i := 0; i < len(n.Content); i += 2 { // what is merged comes first, so that the mapping's own keys take its place
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
		return member{}, at(key, "a key is %s, not a text: put it in quotes", name.kind)
	}
	v, err := c.convert(content)
	return member{key: name.scalar.(string), line: key.Line, value: v}, err
}

// isMerge says whether a key stands for the keys of other mappings, https://yaml.org/type/merge.html.
func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Style == 0 && key.Value == "<<"
}

// merge puts the members of a mapping, or of a list of them, into v. The first mapping that has a key counts.
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
			return at(from, "<< takes a mapping or a list of them, not %s", s.kind)
		}
		for _, m := range s.members {
			if v.member(m.key) == nil {
				v.put(m)
			}
		}
	}
	return nil
}
