package component

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// The reasons of failures. A stream error of the server has its condition as reason, such as not_authorized.
const (
	Stopped     = "stopped"     // Run's context is done
	Unreachable = "unreachable" // no connection
	NoSecret    = "no_secret"   // Options.Secret failed
	NotXMPP     = "not_xmpp"    // the server's first answer is not the header of a component's stream
	Timeout     = "timeout"     // no answer to the handshake, a stanza that stays incomplete, or a server that doesn't read
	Closed      = "closed"      // the server has closed the stream
	Broken      = "broken"      // the connection broke
	Restricted  = "restricted"  // a DTD, a comment or a processing instruction
	Malformed   = "malformed"   // text between stanzas; also why an element is ignored
	undefined   = "undefined_condition"

	// logInterval is the time between two logged failures with the same reason.
	logInterval = time.Minute
)

// Why an element is ignored, besides [Malformed]. The stream goes on.
const (
	TooLarge  = "too_large"    // a stanza above Options.MaxStanza
	TooDeep   = "too_deep"     // too many elements inside each other
	NotStanza = "not_a_stanza" // for example an element of a protocol extension
)

// Failure is the end of a stream, or an attempt to open one that failed.
type Failure struct {
	// Reason is one of the constants of this package, or the condition of a stream error (RFC 6120 section 4.9.3) with underscores.
	Reason string
	// Err describes the failure for a log. It contains nothing that the server wrote, except a condition.
	Err error
	// Hint is what the operator can do about it, or empty.
	Hint string
	// Online reports whether the server had accepted the handshake.
	Online bool
	// Log reports whether to log the failure. It is false if a failure with the same reason was logged within the last minute.
	Log bool
	// Retry is the time until the component connects again.
	Retry time.Duration
}

// MustAct reports whether only the operator can fix the failure. A conflict may end by itself: during a reload, the old stream ends a
// moment after the new one is refused.
func (f Failure) MustAct() bool {
	switch f.Reason {
	case "not_authorized", "host_unknown", NoSecret:
		return true
	case "conflict":
		return f.Online // another program has taken this one's place: taking it back would only repeat that
	}
	return false
}

// hints are what the operator can do, by reason.
var hints = map[string]string{
	Unreachable:           "check that the XMPP server is running, and that it accepts components at this address",
	NoSecret:              "check the option secret, and the file or variable that it names",
	NotXMPP:               "check that the address is the server's port for components, and that TLS is on only in front of a proxy",
	Timeout:               "check that the address is the server's port for components, and that the server is not overloaded",
	"not_authorized":      "make the secret equal to the component's secret in the XMPP server's configuration (component_secret in Prosody, password in ejabberd)",
	"host_unknown":        "add the component to the XMPP server's configuration, with this name, and reload the server",
	"conflict":            "another program is connected as this component: stop it, or give one of the two another name",
	"invalid_from":        "please report this as a bug of the gateway",
	"improper_addressing": "please report this as a bug of the gateway",
}

// failed is an error with the reason of a failure. If the server should know, tell is the condition of the stream error.
type failed struct {
	reason string
	tell   string
	err    error
}

func (f *failed) Error() string { return f.err.Error() }
func (f *failed) Unwrap() error { return f.err }

// failureOf returns the failure that an error means.
func failureOf(err error) Failure {
	reason := Broken
	var f *failed
	var timeout net.Error
	switch {
	case errors.As(err, &f):
		reason = f.reason
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		reason = Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		reason = Closed
	}
	return Failure{Reason: reason, Err: err, Hint: hints[reason]}
}

// conditions are the conditions that RFC 6120 section 4.9.3 defines. Any other becomes undefined-condition, so there are only so many
// reasons.
var conditions = map[string]bool{
	"bad-format": true, "bad-namespace-prefix": true, "conflict": true, "connection-timeout": true, "host-gone": true, "host-unknown": true,
	"improper-addressing": true, "internal-server-error": true, "invalid-from": true, "invalid-namespace": true, "invalid-xml": true,
	"not-authorized": true, "not-well-formed": true, "policy-violation": true, "remote-connection-failed": true, "reset": true,
	"resource-constraint": true, "restricted-xml": true, "see-other-host": true, "system-shutdown": true, "unsupported-encoding": true,
	"unsupported-feature": true, "unsupported-stanza-type": true, "unsupported-version": true,
}

// streamError returns the failure of a stream error.
func streamError(condition string) error {
	reason := undefined
	if conditions[condition] {
		reason = strings.ReplaceAll(condition, "-", "_")
	}
	return &failed{reason: reason, err: errors.New("the server ended the stream: " + strings.ReplaceAll(reason, "_", "-"))}
}

// complaints knows when a failure was last logged, by reason.
type complaints map[string]time.Time

// mayLog reports whether to log a failure now.
func (c complaints) mayLog(reason string, now time.Time) bool {
	if last, ok := c[reason]; ok && now.Sub(last) < logInterval {
		return false
	}
	c[reason] = now
	return true
}
