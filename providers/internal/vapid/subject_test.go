package vapid

import (
	"errors"
	"testing"
)

func TestASubjectIsAnAddressOrAnHTTPSURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		subject string
		want    error
	}{
		{"mailto:ops@example.org", nil},
		{"mailto:push+matrix@mail.example.org", nil},
		{"https://example.org/contact", nil},
		{"https://example.org:8443", nil},
		{"", errSubject},
		{"ops@example.org", errSubject},
		{"mailto:", errSubject},
		{"mailto:ops", errSubject},
		{"mailto:mailto:ops@example.org", errSubject},
		{"mailto: ops@example.org", errSubject},
		{"mailto:<ops@example.org>", errSubject},
		{"mailto:Ops <ops@example.org>", errSubject},
		{"mailto:ops@example.org?subject=push", errSubject},
		{"mailto:a@example.org,b@example.org", errSubject},
		{"MAILTO:ops@example.org", errSubject},
		{"http://example.org", errSubject},
		{"https:example.org", errSubject},
		{"https://", errSubject},
		{"https://ops:secret@example.org", errSubject},
		{"https://example.org/two words", errSubject},
		{"mailto:ops@localhost", errLocalhost},
		{"https://localhost:8443", errLocalhost},
	}
	for _, test := range tests {
		t.Run(test.subject, func(t *testing.T) {
			t.Parallel()
			if err := ValidateSubject(test.subject); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
