package sygnal

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The forms of unquoted scalars in YAML 1.1, from PyYAML's resolver.py. For example, `yes` is a boolean. 1234567E89, which may be a key
// ID, is a string.
var (
	nullForm    = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	trueForm    = regexp.MustCompile(`^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$`)
	falseForm   = regexp.MustCompile(`^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$`)
	integerForm = regexp.MustCompile(`^[-+]?(?:0b[0-1_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$`)
	decimalForm = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

// scalar converts a scalar, which may be quoted or tagged.
func scalar(n *yaml.Node) (*value, error) {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	tag := ""
	if n.Style&yaml.TaggedStyle != 0 {
		tag = n.ShortTag()
	}
	if tag == "" && n.Style&quoted == 0 {
		return resolve(n.Value, n.Line), nil
	}
	kinds := map[string]kind{"": text, "!": text, "!!str": text, "!!null": null, "!!bool": boolean, "!!int": integer, "!!float": decimal}
	wanted, known := kinds[tag]
	if !known {
		return nil, at(n, "the tag %s is not supported", tag)
	}
	if wanted == text {
		return &value{kind: text, line: n.Line, scalar: n.Value}, nil
	}
	v := resolve(n.Value, n.Line)
	if v.kind != wanted {
		return nil, at(n, "the tag %s does not fit the value, which is %s", tag, v.kind)
	}
	return v, nil
}

// resolve determines the kind of an unquoted scalar.
func resolve(s string, line int) *value {
	v := &value{kind: text, line: line, scalar: s}
	switch {
	case nullForm.MatchString(s):
		v.kind, v.scalar = null, nil
	case trueForm.MatchString(s):
		v.kind, v.scalar = boolean, true
	case falseForm.MatchString(s):
		v.kind, v.scalar = boolean, false
	case integerForm.MatchString(s):
		// Base 0 accepts 0b, 0x and the octal 0777 of YAML 1.1. Without digits, it is not a number.
		if n, ok := new(big.Int).SetString(strings.ReplaceAll(s, "_", ""), 0); ok {
			v.kind, v.scalar = integer, n
		}
	case decimalForm.MatchString(s):
		digits := strings.NewReplacer("_", "", ".inf", "inf", ".Inf", "inf", ".INF", "inf", ".nan", "nan", ".NaN", "nan", ".NAN", "nan")
		if f, err := strconv.ParseFloat(digits.Replace(s), 64); err == nil {
			v.kind, v.scalar = decimal, f
		}
	}
	return v
}
