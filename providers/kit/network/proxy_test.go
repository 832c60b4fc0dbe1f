package network

import (
	"net/url"
	"strings"
	"testing"
)

func TestWhatHTTPSProxyTakesIsTakenAsAProxy(t *testing.T) {
	t.Parallel()
	const httpproxy = "golang.org/x/net/http/httpproxy: "
	for _, tt := range []struct{ source, value, want string }{
		{"git-lfs#3677", "socks5h://127.0.0.1:9050", "socks5h://127.0.0.1:9050"},
		{"net/http: Transport.Proxy", "socks5://127.0.0.1:9050", "socks5://127.0.0.1:9050"},
		{"net/http: Transport.Proxy", "http://proxy.example:3128", "http://proxy.example:3128"},
		{"net/http: Transport.Proxy", "https://proxy.example", "https://proxy.example"},
		{"schemes have no case (RFC 3986 section 3.1)", "SOCKS5H://proxy.example:9050", "socks5h://proxy.example:9050"},
		{"curl(1): user information", "http://user:pass@proxy.example:3128", "http://user:pass@proxy.example:3128"},
		{"RFC 1929", "socks5h://user:pass@proxy.example:1080", "socks5h://user:pass@proxy.example:1080"},
		{"Tor: a user isolates streams, its password may be empty", "socks5h://user:@127.0.0.1:9050", "socks5h://user:@127.0.0.1:9050"},
		{"a path says nothing", "http://proxy.example:3128/", "http://proxy.example:3128/"},
		{"RFC 3986 section 3.2.2", "socks5h://[::1]:9050", "socks5h://[::1]:9050"},
		{httpproxy + "a host without a scheme", "127.0.0.1:9050", "http://127.0.0.1:9050"},
		{httpproxy + "a host without a scheme", "proxy.example:3128", "http://proxy.example:3128"},
		{httpproxy + "a host without a scheme", "localhost:3128", "http://localhost:3128"},
		{httpproxy + "a host without a scheme", "[::1]:3128", "http://[::1]:3128"},
		{httpproxy + "a host without a scheme", "user:pass@proxy.example:3128", "http://user:pass@proxy.example:3128"},
		{httpproxy + "a host without scheme and port", "proxy.example", "http://proxy.example"},
		{httpproxy + "a host without scheme and port", "10.0.0.1", "http://10.0.0.1"},
		{httpproxy + "a host without scheme and port", "[::1]", "http://[::1]"},
	} {
		t.Run(tt.value, func(t *testing.T) {
			t.Parallel()
			s, err := (&Options{Proxy: tt.value}).Resolve()
			if err != nil {
				t.Fatalf("%s: %v", tt.source, err)
			}
			u, err := s.Proxy(&url.URL{Scheme: "https", Host: "push.example"})
			if err != nil || u.String() != tt.want || s.proxyURL != tt.want {
				t.Errorf("%s: it is %s, known as %s: %v", tt.source, u, s.proxyURL, err)
			}
		})
	}
}

func TestAProxyThatCouldNeverWorkIsRefusedWithTheCureAndWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ source, value, why string }{
		{"no host", "socks5h://", "the host is missing"},
		{"no host but a port, of an empty placeholder", "http://:3128", "the host is missing"},
		{"no host but a user", "socks5h://user:secret@", "the host is missing"},
		{"no host without a scheme", ":3128", "the host is missing"},
		{"net/http knows no SOCKS4", "socks4://127.0.0.1:9050", `the scheme is "socks4"`},
		{"curl's spelling", "socks://127.0.0.1:9050", `the scheme is "socks"`},
		{"another scheme", "ftp://user:secret@proxy.example", `the scheme is "ftp"`},
		{"a mistyped scheme", "htpps://user:secret@proxy.example", `the scheme is "htpps"`},
		{"no scheme before the colon", "://proxy.example", "it is not a URL"},
		{"a port out of range", "socks5h://proxy.example:90500", `the port is "90500"`},
		{"port 0", "http://user:secret@proxy.example:0", `the port is "0"`},
		{"a port that is not a number", "http://user:secret@proxy.example:tor", "it is not a URL"},
		{"a password with a / in it", "http://user:sec/ret:secret@proxy.example:3128", "it is not a URL"},
		{"a word for none", "off", `"off" has neither a scheme nor a port`},
		{"a mistyped none", "None", `"None" has neither a scheme nor a port`},
		{"a space", "proxy .example:3128", "it is not a URL"},
		{"RFC 1929: a password without a user", "socks5://:secret@proxy.example", "SOCKS5 users and passwords must have 1 to 255 bytes"},
		{"RFC 1929: too long a user", "socks5h://" + strings.Repeat("u", 256) + "@proxy.example", "SOCKS5 users and passwords must have 1 to 255 bytes"},
		{"RFC 1929: too long a password", "socks5h://u:" + strings.Repeat("secret", 43) + "@proxy.example", "SOCKS5 users and passwords must have 1 to 255 bytes"},
	} {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			_, err := (&Options{Proxy: tt.value}).Resolve()
			if err == nil || err.Error() != "proxy: must be an http, https, socks5 or socks5h URL, host:port, or none: "+tt.why || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
