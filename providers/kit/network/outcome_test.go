package network

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		want        time.Duration
	}{
		{"no header", "", 0},
		{"seconds", "120", 2 * time.Minute},
		{"seconds with spaces around", " 120 ", 2 * time.Minute},
		{"no seconds", "0", 0},
		{"negative seconds", "-1", 0},
		{"fractions are not seconds", "1.5", 0},
		{"more than a day", "86401", 24 * time.Hour},
		{"so many seconds that a duration overflows", "9223372036854775807", 24 * time.Hour},
		{"more than fit", "99999999999999999999", 0},
		{"a date", "Wed, 01 Jul 2026 12:02:00 GMT", 2 * time.Minute},
		{"a date that is over", "Wed, 01 Jul 2026 11:00:00 GMT", 0},
		{"a date far away", "Wed, 01 Jul 2099 12:00:00 GMT", 24 * time.Hour},
		{"a date as RFC 850 writes it", "Wednesday, 01-Jul-26 12:02:00 GMT", 2 * time.Minute},
		{"nonsense", "soon", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := RetryAfter(test.value, noon); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "1", "-1", "9223372036854775807", "Wed, 01 Jul 2026 12:02:00 GMT", "Wed, 01 Jul 0001 00:00:00 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := RetryAfter(value, noon); got < 0 || got > maxRetryAfter {
			t.Errorf("got %s", got)
		}
	})
}
