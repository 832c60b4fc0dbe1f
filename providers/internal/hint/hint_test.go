package hint_test

import (
	"errors"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/hint"
)

func TestAnErrorHasReasonWordErrorAndHint(t *testing.T) {
	t.Parallel()
	cause := errors.New("403 Forbidden")
	for want, o := range map[string]providers.Outcome{
		"bad_topic: fix it":                              {Reason: "bad_topic"},
		"bad_topic (BadTopic): fix it":                   {Reason: "bad_topic", Word: "BadTopic"},
		"bad_topic: 403 Forbidden: fix it":               {Reason: "bad_topic", Err: cause},
		"http_403 (SomethingNew): 403 Forbidden: fix it": {Reason: "http_403", Word: "SomethingNew", Err: cause},
	} {
		err := hint.Error(o, "fix it")
		if err.Error() != want || o.Err != nil && !errors.Is(err, cause) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAnErrorWithoutAnAnswerSaysThatNothingAnswered(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]providers.Outcome{
		"the push service cannot be reached: dns: no such name: fix it": providers.Unreachable("dns", errors.New("no such name")),
		"service_unavailable: fix it":                                   providers.Retry("service_unavailable", 0, nil),
		"busy: full: fix it":                                            providers.Busy("busy", errors.New("full")),
		"invalid_provider_token: fix it":                                providers.Misconfigured("invalid_provider_token", nil),
	} {
		err := hint.Error(o, "fix it")
		if err.Error() != want || errors.Is(err, providers.ErrUnreachable) != (o.Cause == providers.CauseNetwork && o.Kind == providers.KindRetry) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	// With its own word, the service did answer, as it ended the connection.
	if err := hint.Error(providers.Outcome{Reason: "network", Cause: providers.CauseNetwork, Word: "Shutdown"}, "fix it"); errors.Is(err, providers.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
