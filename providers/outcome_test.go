package providers

import (
	"strings"
	"testing"
)

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind Kind
		want string
	}{
		{KindRetry, "retry"},
		{KindDelivered, "delivered"},
		{KindRejected, "rejected"},
		{KindSuspected, "suspected"},
		{KindDropped, "dropped"},
		{KindMisconfigured, "misconfigured"},
		{Kind(99), "retry"},
	}
	for _, tt := range tests {
		if got := tt.kind.String(); got != tt.want {
			t.Errorf("kind %d is called %s, want %s", tt.kind, got, tt.want)
		}
	}
}

func TestTheZeroOutcomeCostsNeitherAPusherNorANotification(t *testing.T) {
	t.Parallel()
	if (Outcome{}).Kind != KindRetry {
		t.Error("its kind is not retry")
	}
}

func TestOnlyAWordOfAPushServicesIsRepeated(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"BadDeviceToken", "109", "UNREGISTERED", "aZ_09", strings.Repeat("a", 64)} {
		if Word(word) != word {
			t.Errorf("%q becomes %q", word, Word(word))
		}
	}
	for _, said := range []string{
		strings.Repeat("a", 65), strings.Repeat("a", 10_000), "two words", "line\nbreak", "a-b", "a.b", "a/b", "ä", "\x00", "<b>", "a\u202eb", "\xff",
	} {
		if got := Word(said); got != "" {
			t.Errorf("%.20q is repeated as %q", said, got)
		}
	}
}
