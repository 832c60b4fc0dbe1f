package messagesize

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

func TestATextIsCutToWhatFitsInJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text  string
		limit int
		want  string
	}{
		{"hello", 5, "hello"},
		{"hello", 4, "h…"},
		{"hello", 3, ""},
		{"", 0, ""},
		{"hello", -1, ""},
		{"😀😀😀", 12, "😀😀😀"},
		{"😀😀😀", 11, "😀😀…"},
		{"😀😀😀", 10, "😀…"},
		{`a"""`, 7, `a"""`},
		{`a"""`, 6, `a"…`},
		{"a\n\n\n", 6, "a\n…"},
		{"\x01\x01", 11, "\x01…"},
		{"\u2028\u2028", 8, ""},
		{"é€x", 5, "é…"},
	}
	for _, test := range tests {
		if got := Cut(test.text, test.limit); got != test.want {
			t.Errorf("%q in %d bytes is %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

// FuzzCut checks that a cut text fits, is the longest that fits, and can be cut further like the whole text.
func FuzzCut(f *testing.F) {
	for _, text := range []string{"hello", "😀\n\"\x01\u2028é\\<>&", strings.Repeat("…", 20), "\ufffd\x7f"} {
		f.Add(text, 12, 7)
		f.Add(text, 40, 13)
	}
	f.Fuzz(func(t *testing.T, text string, limit, less int) {
		if !utf8.ValidString(text) {
			t.Skip() // what is decoded is
		}
		limit, less = limit%10_000, less%10_000
		less = min(less, limit)
		cut := Cut(text, limit)
		size := len(clientjson.Marshal(cut)) - len(`""`)
		if size > max(limit, 0) || size != Size(cut) || !utf8.ValidString(cut) {
			t.Fatalf("%q in %d bytes is %q, of %d bytes", text, limit, cut, size)
		}
		if cut != text && (cut != "" && !strings.HasPrefix(text, strings.TrimSuffix(cut, ellipsis)) || size < limit-8) {
			t.Errorf("%q in %d bytes is %q", text, limit, cut)
		}
		if again := Cut(cut, less); cut != "" && again != Cut(text, less) {
			t.Errorf("%q cut to %d and to %d is %q, and to the latter %q", text, limit, less, again, Cut(text, less))
		}
	})
}

func TestAContentKeepsWhatIsShown(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	tests := []struct{ content, want string }{
		{`{"body":"b","x":1}`, `{"body":"b"}`},
		{`{"body":"b","msgtype":"m.text","formatted_body":"f","m.relates_to":{"key":"k"}}`, `{"body":"b","msgtype":"m.text"}`},
		{`{"m.relates_to":{"key":"k"},"x":1}`, `{"m.relates_to":{"key":"k"}}`},
		{`{"m.relates_to":"k"}`, `{}`},
		{`{"membership":"invite","displayname":"d"}`, `{"membership":"invite"}`},
		{`{"notification_type":"ring","sender_ts":1}`, `{"notification_type":"ring"}`},
		{`{"body":1,"msgtype":null}`, `{}`},
		{`{"body":"` + long + `","msgtype":"` + long + `"}`, `{"body":"` + long + `"}`},
		{`{"Body":"b"}`, `{}`},
	}
	for _, test := range tests {
		content, _ := clientjson.Members(json.RawMessage(test.content))
		if got := string(clientjson.Marshal(shownOf(content))); got != test.want {
			t.Errorf("of %s, %s is shown, want %s", test.content, got, test.want)
		}
	}
}

func TestOnlyFormsThatAreSmallerAreLeft(t *testing.T) {
	t.Parallel()
	forms := slices.Values([][]byte{[]byte("12345"), []byte("123456"), []byte("abcde"), []byte("1234"), []byte("1"), []byte("12")})
	if got := slices.Collect(Shrinking(forms)); len(got) != 3 || string(got[1]) != "1234" || string(got[2]) != "1" {
		t.Errorf("got %s", got)
	}
	for range Shrinking(forms) {
		break // no further forms are needed
	}
}
