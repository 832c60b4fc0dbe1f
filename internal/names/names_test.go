package names_test

import (
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
)

func TestANameShowsThatAHostCannotBeOnTheInternet(t *testing.T) {
	t.Parallel()
	const address, label, none = "an address", "a name without a dot", "not a name"
	for _, tt := range []struct{ source, host, want string }{
		{"a public name", "push.matrix.org", ""},
		{"with a dot at the end", "push.matrix.org.", ""},
		{"in capitals", "PUSH.Matrix.ORG", ""},
		{"in other letters", "bücher.de", ""},
		{"as the DNS writes them", "xn--bcher-kva.de", ""},
		{"with an underscore, which some hosts have", "my_push.matrix.org", ""},
		{"a name for documentation resolves (RFC 6761 section 6.5)", "push.example.org", ""},
		{"a name that only ends like one", "mytest.org", ""},
		{"a name with a special one in front", "local.internal.matrix.org", ""},
		{"another name of .arpa", "1.168.192.in-addr.arpa", ""},

		{"RFC 6761 section 6.2", "a.test", "a name of .test"},
		{"RFC 6761 section 6.3", "a.localhost", "a name of .localhost"},
		{"RFC 6761 section 6.3, itself", "localhost", "a name of .localhost"},
		{"RFC 6761 section 6.4", "a.invalid", "a name of .invalid"},
		{"RFC 6762", "ntfy.local", "a name of .local"},
		{"RFC 7686", "abcdef.onion", "a name of .onion"},
		{"RFC 8375", "ntfy.home.arpa", "a name of .home.arpa"},
		{"RFC 9476", "push.alt", "a name of .alt"},
		{"ICANN 2024", "a.b.internal", "a name of .internal"},
		{"in capitals, with a dot at the end", "A.TEST.", "a name of .test"},
		{"in letters of full width", "ａ.ｔｅｓｔ", "a name of .test"},
		{"with a soft hyphen", "local\u00adhost", "a name of .localhost"},

		{"IPv4", "9.9.9.9", address},
		{"IPv4 with a dot at the end", "9.9.9.9.", address},
		{"IPv6", "2620:fe::9", address},
		{"IPv6 in brackets", "[2620:fe::9]", address},
		{"the WHATWG's ends-in-a-number checker", "0x7f.1", address},
		{"one number", "2130706433", address},
		{"one number in hexadecimal", "0X7F000001", address},
		{"digits of full width", "１２７.０.０.１", address},
		{"no name ends in a number", "push.123", address},

		{"a single label", "server", label},
		{"a top-level domain", "org.", label},
		{"nothing", "", none},
		{"the root", ".", none},
		{"an empty label", "push..matrix.org", none},
		{"two dots at the end", "push.matrix.org..", none},
		{"a wildcard", "*.matrix.org", none},
		{"a placeholder", "{env.NAME}.matrix.org", none},
		{"a port", "push.matrix.org:443", none},
		{"a space", "push matrix.org", none},
		{"a label that is too long", strings.Repeat("a", 64) + ".org", none},
		{"a name that is too long", strings.Repeat("abcd.", 60) + "org", none},
		{"letters that make no name", "a\u200b\u200d.\uffff", none},
	} {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := names.Public(tt.host); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q is %q, want %q", tt.host, got, tt.want)
			}
		})
	}
}

func TestNamesForDocumentationAreKnown(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{ // RFC 6761 section 6.5
		"example": true, "push.example": true, "example.com": true, "example.net": true, "a.b.example.org": true, "example.org.": true,
		"example.de": false, "myexample.org": false, "example.org.de": false, "": false,
	} {
		if got := names.IsExample(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestANameThatIDNADoesNotAllowIsNoOtherHosts(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"\u04c0.Example.org", "\u10a0.Example.org"} { // in lower case, IDNA allows them
		want := strings.Replace(host, "E", "e", 1)
		if got := names.ASCII(host); got != want || names.ASCII(got) != got {
			t.Errorf("%q becomes %q, and that %q", host, got, names.ASCII(got))
		}
	}
	if got := names.ASCII("B\u00fccher.DE"); got != "xn--bcher-kva.de" {
		t.Errorf("got %q", got)
	}
}
