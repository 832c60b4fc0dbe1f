package clientjson_test

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

func TestMarshalKeepsWhatHTMLWouldEscape(t *testing.T) {
	t.Parallel()
	if got := string(clientjson.Marshal(map[string]string{"a": "<&>"})); got != `{"a":"<&>"}` {
		t.Errorf("got %s", got)
	}
}

func TestATextIsAMemberThatIsOne(t *testing.T) {
	t.Parallel()
	for object, want := range map[string]string{
		`{"body": "hi"}`:               "hi",
		`{"body": "a", "body": "b"}`:   "b",
		`{"body": "hi", "Body": "no"}`: "hi",
		`{"Body": "no"}`:               "",
		`{"body": 1}`:                  "",
		`{"body": ["hi"]}`:             "",
		`{"body": null}`:               "",
		`["body"]`:                     "",
		`{"body": "h`:                  "",
		``:                             "",
	} {
		if got := clientjson.String([]byte(object), "body"); got != want {
			t.Errorf("%s: got %q", object, got)
		}
	}
}
