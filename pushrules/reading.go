package pushrules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Reading is how rules are understood where homeservers differ from the specification.
type Reading string

// The readings.
const (
	// Spec is what the specification says.
	Spec Reading = "spec"
	// Synapse is what Synapse 1.163.2 does.
	Synapse Reading = "synapse"
)

// Options choose how rules are evaluated. The zero value is the newest specification.
type Options struct {
	Reading Reading
	// Age is the version of the specification, such as "v1.9" or "r0.6.1". The default is the newest. It decides which conditions and
	// escapes there are, and whether coalesce notifies. With the reading Synapse, it has no effect.
	Age string
	// Experiments are the proposals that the homeserver has turned on, such as "msc4306".
	Experiments []string
	// All continues after the rule that decides, and after a condition that doesn't hold.
	All bool
}

func (o *Options) synapse() bool { return o.Reading == Synapse }

func (o *Options) experiment(name string) bool { return slices.Contains(o.Experiments, name) }

// check returns an error for an unknown reading or age.
func (o *Options) check() error {
	if o.Reading != "" && o.Reading != Spec && o.Reading != Synapse {
		return fmt.Errorf("reading: %q is not spec or synapse", o.Reading)
	}
	_, err := minor(o.Age)
	return err
}

// since reports whether the age is v1.n or newer.
func (o *Options) since(n int) bool {
	return o.synapse() || specAge(o.Age, n)
}

// newest is the minor version for ages that are not given.
const newest = 1 << 30

// minor returns the n of an age v1.n, and 0 for everything older.
func minor(age string) (int, error) {
	if age == "" {
		return newest, nil
	}
	if strings.HasPrefix(age, "r0.") {
		return 0, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(age, "v1."), 10, 16)
	if err != nil || !strings.HasPrefix(age, "v1.") {
		return 0, fmt.Errorf("age: %q is not a version such as v1.9 or r0.6.1", age)
	}
	return int(n), nil
}

// specAge reports whether an age is v1.n or newer.
func specAge(age string, n int) bool {
	m, err := minor(age)
	return err == nil && m >= n
}
