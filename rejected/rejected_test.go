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

func TestATargetMakesAnotherDeviceOfTheSameFamily(t *testing.T) {
	t.Parallel()
	plain := KeyOf("app", "key")
	if KeyAt("app", "key", "") != plain {
		t.Error("without a target it is not KeyOf")
	}
	keys := map[Key]string{plain: "none"}
	for _, tt := range [][3]string{
		{"app", "key", "https://a.example/1"},
		{"app", "key", "https://a.example/2"},
		{"app", "key", "1"},
		{"app", "key1", ""},
		{"app", "ke", "yhttps://a.example/1"},
		{"app", "key\x00https", "://a.example/1"},
		{"ap", "pkey", "https://a.example/1"},
	} {
		k := KeyAt(tt[0], tt[1], tt[2])
		if other, ok := keys[k]; ok {
			t.Errorf("%q has the key of %q", tt, other)
		}
		keys[k] = strings.Join(tt[:], " ")
		if same := tt[0] == "app" && tt[1] == "key"; same != strings.HasPrefix(k.String(), plain.Family()) {
			t.Errorf("%q is of the family: %v, want %v", tt, !same, same)
		}
	}
	if k := KeyAt("app", "key", "https://a.example/1").String(); k != "061dc47e77c1431a8be51dc1879bfd5c" {
		t.Errorf("the key in stores is %s", k)
	}
}

func TestKeyOfDoesNotAllocate(t *testing.T) {
	appID, pushkey := strings.Repeat("a", 64), strings.Repeat("p", 512)
	if n := testing.AllocsPerRun(100, func() { KeyOf(appID, pushkey) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if n := testing.AllocsPerRun(100, func() { KeyAt(appID[:32], pushkey[:88], pushkey[:250]) }); n > 1 { // the number
		t.Errorf("%v allocations with a target", n)
	}
}
