package providers

import "net/http"

// Previewer is implemented by a provider that can show what Push would send. Operators see it before they send anything.
type Previewer interface {
	// Preview returns the requests that Push would make for p, or the outcome that Push would return without a request. It makes no request
	// and has no side effects: it logs nothing, and does not modify p. It needs no network and no credential. Push and Preview should build
	// the requests with the same functions, so they cannot differ.
	Preview(p *Push) Preview
}

// Preview is what a provider would send for a [Push].
type Preview struct {
	// Requests are the requests to the push service. The first is the one that Push makes. Push makes each further one only if the push
	// service finds the body of the one before too large. There are none if Push makes no request.
	Requests []Request
	// Outcome is what Push returns if there are no requests.
	Outcome Outcome
}

// Masked stands for a secret in a [Request].
const Masked = "…"

// Request is a request to a push service, as an operator may see it.
type Request struct {
	// Method is the HTTP method, such as POST.
	Method string
	// URL is where the request goes. [Masked] is in place of everything that may be secret, such as a token, or an endpoint's path.
	URL string
	// Header has the headers that the provider sets, under their canonical names. Headers with credentials, such as Authorization, are
	// omitted. If only a part of a header is secret, [Masked] is in place of its value.
	Header http.Header
	// Body is the exact body. If the provider encrypts it for the device, this is the body before that, without padding. It has no
	// credentials. It may contain what was given for the device and the notification, such as the pushkey.
	Body []byte
	// Encrypted reports whether the body is encrypted for the device before it is sent.
	Encrypted bool
	// Whole is what Body would be if there was no limit to its size; nil if the provider omits and shortens nothing. If both are JSON
	// objects, operators see which members were omitted or shortened. That includes what [Reducer] does, because the gateway also calls
	// Preview with the notification before Reduce.
	Whole []byte
}

// Previewed returns a Preview that has only an outcome.
func Previewed(o Outcome) Preview { return Preview{Outcome: o} }
