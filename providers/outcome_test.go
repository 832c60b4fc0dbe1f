package providers

import "testing"

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind Kind
		want string
	}{
		{KindRetry, "retry"},
		{KindDelivered, "delivered"},
		{KindRejected, "rejected"},
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
		t.Error("it is no retry")
	}
}
