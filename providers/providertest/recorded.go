package providertest

import (
	"net/http"
	"strings"
)

// RecordedAnswer is a real answer to a push from a push service, or from a proxy in front of one. It comes from the service's source
// code, its documentation, or somebody who received it.
type RecordedAnswer struct {
	// Service is who gives the answer, and Name is the case in which they do. Together, they are unique.
	Service, Name string
	// Source is where the answer was found.
	Source string
	// Answer is the answer. A {path} in its body stands for the endpoint's path: see [RecordedAnswer.To].
	Answer Answer
}

const (
	recordedJSON = "application/json"
	recordedText = "text/plain; charset=utf-8"
	recordedHTML = "text/html; charset=UTF-8"

	sourceAutopush = "github.com/mozilla-services/autopush-rs: autoendpoint/src/error.rs, routers/mod.rs, headers/vapid.rs, " +
		"docs/src/errors.md"
	sourcePython    = "WebFundamentals, Web Push: Common Issues and Reporting Bugs, 2017"
	sourceApple     = "developer.apple.com: Sending web push notifications in web apps and browsers"
	sourceSeen      = "seen in public code and logs, 2025 and 2026"
	sourceChromium  = "Chromium: components/gcm_driver/web_push_common.cc, 2019"
	sourceMicrosoft = "github.com/MicrosoftDocs/windows-dev-docs: push-request-response-headers.md"
	sourceNtfy      = "github.com/binwiederhier/ntfy: server/errors.go"
	sourceNextPush  = "codeberg.org/NextPush/uppush, 2023"
)

// RecordedAnswers returns the answers of push services to Web Push and UnifiedPush, with their words, headers and content types. Test a
// provider that sends to these services with each answer, through [PushService.Answer] or as the handler of a [TLSServer]. The
// provider's test decides what an answer means.
func RecordedAnswers() []RecordedAnswer {
	var all []RecordedAnswer
	for _, some := range [][]RecordedAnswer{
		recordedAutopush(), recordedGoogle(), recordedApple(), recordedWNS(), recordedNtfy(), recordedNextPush(), recordedOthers(),
	} {
		all = append(all, some...)
	}
	return all
}

// recorded returns an answer with a body.
func recorded(service, name, source string, status int, contentType, body string, header ...string) RecordedAnswer {
	h := http.Header{}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return RecordedAnswer{Service: service, Name: name, Source: source, Answer: Answer{Status: status, Header: h, Body: body}}
}

// To returns the answer for an endpoint with this path, for [PushService.Answer].
func (r RecordedAnswer) To(path string) Answer {
	a := r.Answer
	a.Body = strings.ReplaceAll(a.Body, "{path}", path)
	return a
}
