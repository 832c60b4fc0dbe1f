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
