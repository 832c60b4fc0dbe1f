package rejected

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func TestAKeyIsTheFirstHalfOfTheHashOfAppAndPushkey(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, appID, pushkey string }{
		{"an ordinary device", "org.example.ios", "abc123"},
		{"an empty pushkey", "org.example.ios", ""},
		{"a pushkey longer than any real one", "org.example.ios", strings.Repeat("x", 5000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sum := sha256.Sum256([]byte(tt.appID + "\x00" + tt.pushkey))
			want := hex.EncodeToString(sum[:16])
			if got := KeyOf(tt.appID, tt.pushkey).String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestNoTwoDevicesShareAKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		a, b [2]string
	}{
		{"the same pushkey of another app", [2]string{"app.a", "key"}, [2]string{"app.b", "key"}},
		{"another pushkey of the same app", [2]string{"app.a", "key"}, [2]string{"app.a", "kez"}},
		{"the border between the two moved", [2]string{"app.a", "bkey"}, [2]string{"app.ab", "key"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if KeyOf(tt.a[0], tt.a[1]) == KeyOf(tt.b[0], tt.b[1]) {
				t.Error("the keys are equal")
			}
		})
	}
}

func TestKeyOfDoesNotAllocate(t *testing.T) {
	appID, pushkey := strings.Repeat("a", 64), strings.Repeat("p", 512)
	if n := testing.AllocsPerRun(100, func() { KeyOf(appID, pushkey) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
