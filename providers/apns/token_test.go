package apns

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

func TestEveryWayToWriteATokenIsRead(t *testing.T) {
	t.Parallel()
	usual := bytes.Repeat([]byte{0xfb, 0xef, 0xbe, 0x00}, 8) // with + and / in its base64
	long := bytes.Repeat([]byte{0xff}, 384)
	tests := []struct {
		name, pushkey, want string
	}{
		{"base64 as Element writes it", base64.StdEncoding.EncodeToString(usual), hex.EncodeToString(usual)},
		{"base64 without padding", base64.RawStdEncoding.EncodeToString(usual), hex.EncodeToString(usual)},
		{"base64url", base64.URLEncoding.EncodeToString(usual), hex.EncodeToString(usual)},
		{"base64url without padding", base64.RawURLEncoding.EncodeToString(usual), hex.EncodeToString(usual)},
		{"64 hexadecimal digits, which are base64 as well", strings.Repeat("0a", 32), strings.Repeat("0a", 32)},
		{"hexadecimal digits in upper case", strings.Repeat("0A", 32), strings.Repeat("0a", 32)},
		{"66 digits", strings.Repeat("0A", 33), strings.Repeat("0a", 33)},
		{"160 digits of a Live Activity", strings.Repeat("fE", 80), strings.Repeat("fe", 80)}, // forums/712499, AppleApnPush#80, rpush#462
		{"200 digits", strings.Repeat("09afAF", 33) + "00", strings.Repeat("09afaf", 33) + "00"},
		{"as many as a pushkey can have", strings.Repeat("ab", 256), strings.Repeat("ab", 256)},
		{"67 digits are base64, of which bits are left over", strings.Repeat("ab", 33) + "a", hex.EncodeToString(unbase64(t, strings.Repeat("ab", 33)+"a"))},
		{"66 digits with padding", strings.Repeat("ab", 33) + "==", hex.EncodeToString(unbase64(t, strings.Repeat("ab", 33)))},
		{"160 digits of which one is not hexadecimal", strings.Repeat("ab", 79) + "ag", hex.EncodeToString(unbase64(t, strings.Repeat("ab", 79)+"ag"))},
		{"64 digits that are not hexadecimal", strings.Repeat("0g", 32), hex.EncodeToString(unbase64(t, strings.Repeat("0g", 32)))},
		{"62 hexadecimal digits are base64", strings.Repeat("ab", 30) + "aa", hex.EncodeToString(unbase64(t, strings.Repeat("ab", 30)+"aa"))},
		{"and so they are with padding", strings.Repeat("ab", 30) + "aa==", hex.EncodeToString(unbase64(t, strings.Repeat("ab", 30)+"aa"))},
		{"Sygnal's example", "spqr", "b29aab"},
		{"bits that are left over", "spq", "b29a"},
		{"one byte", "_w==", "ff"},
		{"the longest pushkey", base64.StdEncoding.EncodeToString(long), hex.EncodeToString(long)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := deviceToken(test.pushkey); err != nil || got != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
		})
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Guards against Sygnal's decoder, which skips characters that are not base64: the result is another token.
func TestWhatIsNoTokenIsAnErrorThatDoesNotQuoteIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pushkey string
	}{
		{"empty", ""},
		{"only padding", "===="},
		{"a space", "sp qr"},
		{"a line break", "spqr\nspqr"},
		{"a line break at the end", "spqr\r\n"},
		{"a token of Firebase", "dQw4w9WgXcQ:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ"},
		{"one character too many", "spqrs"},
		{"65 hexadecimal digits, which are neither", strings.Repeat("a", 65)},
		{"too little padding", "_w="},
		{"too much padding", "spq=="},
		{"padding that none needs", "spqr===="},
		{"padding in the middle", "sp==spqr"},
		{"both alphabets in one", "+_+_"},
		{"a URL", "https://push.example.org/secret"},
		{"letters that are not ASCII", "sprß"},
		{"more than a pushkey can be", strings.Repeat("A", 514)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := deviceToken(test.pushkey)
			if err == nil {
				t.Fatalf("got %s", got)
			}
			if test.pushkey != "" && strings.Contains(err.Error(), test.pushkey) {
				t.Errorf("the error has the pushkey: %v", err)
			}
		})
	}
}

func FuzzDeviceToken(f *testing.F) {
	for _, seed := range []string{"spqr", "spq", "sp qr", "_w==", "+_+_", "spqr\n", "====", strings.Repeat("0A", 32), strings.Repeat("0A", 80), strings.Repeat("/", 512)} {
		f.Add(seed)
	}
	digits := regexp.MustCompile(`^([0-9a-f]{2})+$`)
	f.Fuzz(func(t *testing.T, pushkey string) {
		got, err := deviceToken(pushkey)
		if err != nil {
			if got != "" {
				t.Errorf("an error, and %s", got)
			}
			return
		}
		if !digits.MatchString(got) || len(got) > 2*maxToken {
			t.Errorf("got %s", got)
		}
		encoded := base64.StdEncoding.EncodeToString(unhex(t, got))
		if again, err := deviceToken(encoded); !hexadecimalForm.MatchString(encoded) && (err != nil || again != got) {
			t.Errorf("the same in base64 is %s (%v)", again, err)
		}
		if len(got) >= 64 && len(got) <= maxPushkey {
			if again, err := deviceToken(got); err != nil || again != got {
				t.Errorf("the same in hexadecimal is %s (%v)", again, err)
			}
		}
	})
}

// hexadecimalForm matches base64 with a probability of one in 10^29.
var hexadecimalForm = regexp.MustCompile(`^([0-9a-fA-F]{2}){32,}$`)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
