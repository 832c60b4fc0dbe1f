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
