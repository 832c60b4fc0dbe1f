package caddyfileopt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// Parser parses an option's only argument.
type Parser[T any] struct {
	// Form is how to write the argument. Errors show it.
	Form string
	// Parse returns the value. Its errors say what to write instead.
	Parse func(arg string) (T, error)
}

// Word returns the parser of an option that is one of a few words.
func Word(words ...string) Parser[string] {
	return Parser[string]{strings.Join(words, "|"), func(arg string) (string, error) {
		for _, word := range words {
			if arg == word {
				return word, nil
			}
		}
		last := len(words) - 1
		return "", fmt.Errorf("%s is not valid: use %s or %s", nearest.Shown(arg), strings.Join(words[:last], ", "), words[last])
	}}
}

const durationForm = "<duration>, such as " + jsonopt.Durations

var (
	// Positive parses a number above 0.
	Positive = Parser[int]{"<number>", positive}
	// Duration parses a duration, which may be 0.
	Duration = Parser[*caddy.Duration]{durationForm, duration}
	// PositiveDuration parses a duration above 0.
	PositiveDuration = Parser[caddy.Duration]{durationForm, positiveDuration}
)

func positive(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%s is not a positive number", nearest.Shown(arg))
	}
	return n, nil
}

func duration(arg string) (*caddy.Duration, error) {
	parsed, err := caddy.ParseDuration(arg)
	if err != nil || parsed < 0 {
		return nil, fmt.Errorf("%s is not a duration such as %s", nearest.Shown(arg), jsonopt.Durations)
	}
	return new(caddy.Duration(parsed)), nil
}

func positiveDuration(arg string) (caddy.Duration, error) {
	parsed, err := caddy.ParseDuration(arg)
	if err != nil || parsed <= 0 {
		return 0, fmt.Errorf("%s is not a positive duration such as %s", nearest.Shown(arg), jsonopt.Durations)
	}
	return caddy.Duration(parsed), nil
}
