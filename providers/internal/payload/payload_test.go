package payload

import (
	"testing"
)

func TestMarshalKeepsWhatHTMLWouldEscape(t *testing.T) {
	t.Parallel()
	if got := string(Marshal(map[string]string{"a": "<&>"})); got != `{"a":"<&>"}` {
		t.Errorf("got %s", got)
	}
}
