package gateway

import (
	"errors"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// shapeError names the field that a homeserver got wrong, but not its value. Invalid JSON takes precedence over a wrong field.
func shapeError(body []byte, err error) *Error {
	var wrong *jsonv2.SemanticError
	if !errors.As(err, &wrong) || !jsontext.Value(body).IsValid(lenient.Options) {
		return errNotJSON()
	}
	if wrong.JSONKind == '0' && errors.Is(wrong.Err, errNotWhole) {
		return errBadJSON("%s cannot be a fraction", field(wrong.JSONPointer))
	}
	return errBadJSON("%s cannot be %s", field(wrong.JSONPointer), kind(wrong.JSONKind))
}

// field returns the path of a value in the body, such as notification.devices[0].pushkey.
func field(at jsontext.Pointer) string {
	if at == "" {
		return "the body"
	}
	var b strings.Builder
	for token := range at.Tokens() {
		switch {
		case token != "" && '0' <= token[0] && token[0] <= '9': // names of fields never begin with a digit
			b.WriteString("[" + token + "]")
			continue
		case b.Len() > 0:
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	return b.String()
}

func kind(k jsontext.Kind) string {
	switch k {
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	default:
		return "a number"
	}
}
