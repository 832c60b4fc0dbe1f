package vapid

import (
	"errors"
	"strings"
	"testing"
)

func TestASubjectIsAnAddressOrAnHTTPSURL(t *testing.T) {
	t.Parallel()
	const rfc, apple = "RFC 8292 section 2.1", "forums/725473: Apple refuses a space and <>"
	tests := []struct {
		source, subject string
		want            error
	}{
		{rfc, "mailto:ops@example.org", nil},
		{rfc, "mailto:push+matrix@mail.example.org", nil},
		{rfc, "https://example.org/contact", nil},
		{rfc, "https://example.org:8443", nil},
		{rfc, "", errForm},
		{"webpush-java#201: Apple refuses a bare address", "ops@example.org", errForm},
		{rfc, "mailto:", errForm},
		{rfc, "mailto:ops", errForm},
		{rfc, "mailto:mailto:ops@example.org", errForm},
		{apple, "mailto: ops@example.org", errForm},
		{apple, "mailto:<ops@example.org>", errForm},
		{apple, "mailto:Ops <ops@example.org>", errForm},
		{rfc, "mailto:ops@example.org?subject=push", errForm},
		{rfc, "mailto:a@example.org,b@example.org", errForm},
		{rfc, "MAILTO:ops@example.org", errForm},
		{rfc, "http://example.org", errForm},
		{rfc, "https:example.org", errForm},
		{rfc, "https://", errForm},
		{rfc, "https://ops:secret@example.org", errForm},
		{rfc, "https://ops:sec ret@example.org", errForm},
		{rfc, "https://example.org/two words", errForm},
	}
	for _, test := range tests {
		t.Run(test.subject, func(t *testing.T) {
			t.Parallel()
			err := ValidateSubject(test.subject)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", test.source, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "sec") {
				t.Errorf("it shows a password: %v", err)
			}
		})
	}
}

func TestASubjectThatCannotBeOnTheInternetIsRefused(t *testing.T) {
	t.Parallel()
	const likely = "receivers.md 5: likely, as its like are"
	for _, test := range []struct{ source, subject string }{
		{"omp-session-gateway#173: Apple answers 403 BadJwtToken", "mailto:ops@gateway.invalid"},
		{"herdr-mobile-relay#7: Apple answers 403 BadJwtToken", "mailto:ops@push.local"},
		{"web-push#947: Apple refuses it", "mailto:ops@localhost"},
		{"web-push#947, as a URL", "https://localhost:8443"},
		{likely, "https://push.localhost"},
		{likely, "mailto:ops@host.internal"},
		{likely, "mailto:ops@server"},
		{likely, "https://10.0.0.5"},
		{"RFC 6761 section 6.4", "https://gateway.invalid/contact"},
		{"RFC 6761 section 6.2", "mailto:ops@push.test"},
		{"RFC 6762", "https://push.local"},
		{"RFC 7686", "mailto:ops@abcdefgh.onion"},
		{"RFC 8375", "mailto:ops@push.home.arpa"},
		{"RFC 9476", "mailto:ops@push.alt"},
		{"ICANN 2024", "https://push.internal:8443/"},
		{"a special-use name itself", "mailto:ops@invalid"},
		{"in capitals", "mailto:ops@Gateway.INVALID"},
		{"in capitals, as a URL", "https://LOCALHOST"},
		{"with a dot at the end", "https://push.local./"},
		{"a single label with a dot at the end", "https://server./"},
		{"in letters of full width", "mailto:ops@ｌｏｃａｌｈｏｓｔ"},
		{"in letters of full width, as a URL", "https://push.ｔｅｓｔ"},
		{"a public IPv4 address", "https://9.9.9.9"},
		{"an address literal (RFC 5321 section 4.1.3)", "mailto:ops@[10.0.0.1]"},
		{"an address that is not one by RFC 5321", "mailto:ops@10.0.0.1"},
		{"an IPv6 literal", "https://[2620:fe::9]:8443/"},
		{"an IPv6 literal in an address", "mailto:ops@[IPv6:2620:fe::9]"},
		{"a number as inet_aton reads it", "https://0x7f.1"},
		{"a number as inet_aton reads it", "https://2130706433/"},
		{"a number as inet_aton reads it", "mailto:ops@017700000001"},
		{"an empty label", "https://push..example.org"},
		{"the root", "https://./"},
		{"not a name", "https://push!.example.org"},
		{"a wildcard", "https://*.example.org"},
	} {
		t.Run(test.source+" "+test.subject, func(t *testing.T) {
			t.Parallel()
			err := ValidateSubject(test.subject)
			if err == nil {
				t.Fatal("it is taken")
			}
			// net/mail refuses some literals by itself.
			if errors.Is(err, errForm) == errors.Is(err, errNotPublic) || errors.Is(err, errForm) && !strings.Contains(test.subject, "@[") {
				t.Errorf("it is refused for another reason: %v", err)
			}
			if errors.Is(err, errNotPublic) && (!strings.Contains(err.Error(), "BadJwtToken") || !strings.Contains(err.Error(), "such as mailto:") ||
				!strings.Contains(err.Error(), `"`+test.subject+`"`)) {
				t.Errorf("it does not name value, reason and cure: %v", err)
			}
		})
	}
}

func TestASubjectAtANameForDocumentationIsTakenAndKnown(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]bool{ // RFC 6761 section 6.5
		"mailto:ops@example.com": true, "mailto:ops@Push.Example.NET": true, "https://example.org./": true, "mailto:ops@push.example": true,
		"https://push.example:8443": true, "mailto:ops@matrix.org": false, "https://example.matrix.org": false, "mailto:example.org@matrix.org": false,
		"https://matrix.org/example.org": false,
	} {
		if err := ValidateSubject(subject); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
		if got := IsExample(subject); got != want {
			t.Errorf("%s: %v", subject, got)
		}
	}
}
