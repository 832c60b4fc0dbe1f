package posting_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/posting"
)

// The request on the wire is that of net/http.
func TestTheRequestIsTheSameAsNetHTTPs(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"https://push.example.org", "https://push.example.org:8443/a%2Fb/ä?up=1&x=%20", "https://[2001:db8::1]/?", "https://push.example.org:/"} {
		for _, body := range [][]byte{nil, {}, []byte("body")} {
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Ttl": {"1"}}
			want, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			want.Header = header
			got := posting.New(t.Context(), u, header, body)
			if got, want := written(t, got), written(t, want); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", to, got, want)
			}
			if got.Context() != t.Context() || got.Proto != want.Proto || got.ContentLength != want.ContentLength || (got.GetBody == nil) != (len(body) == 0) {
				t.Errorf("%s: got %+v, want %+v", to, got, want)
			}
		}
	}
}

func TestTheBodyCanBeSentAgain(t *testing.T) {
	t.Parallel()
	r := posting.New(t.Context(), &url.URL{Scheme: "https", Host: "push.example.org"}, nil, []byte("body"))
	for range 2 {
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != "body" {
			t.Errorf("read %q (%v)", got, err)
		}
		var err error
		if r.Body, err = r.GetBody(); err != nil {
			t.Fatal(err)
		}
	}
}

func written(t *testing.T, r *http.Request) string {
	t.Helper()
	dump, err := httputil.DumpRequestOut(r, true)
	if err != nil {
		t.Fatal(err)
	}
	return string(dump)
}
