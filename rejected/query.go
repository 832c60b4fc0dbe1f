package rejected

import (
	"encoding/hex"
	"strings"
)

// MaxPage is how many records a page has at most, whatever the query asks for.
const MaxPage = 1000

// Check returns [ErrPrefix] if no key can have the prefix.
func (q Query) Check() error {
	if len(q.Prefix) > hex.EncodedLen(len(Key{})) || strings.Trim(q.Prefix, "0123456789abcdef") != "" {
		return ErrPrefix
	}
	return nil
}

// Matches reports whether a key begins with the prefix.
func (q Query) Matches(k Key) bool {
	var digits [2 * len(k)]byte
	hex.Encode(digits[:], k[:])
	return strings.HasPrefix(string(digits[:]), q.Prefix)
}

// Size returns the limit within its bounds.
func (q Query) Size() int {
	if q.Limit <= 0 {
		return MaxPage
	}
	return min(q.Limit, MaxPage)
}

// From returns the first key of a page, and checks the query. It is for a store that lists in the order of the keys, with the next
// record's key as the cursor.
func (q Query) From() (Key, error) {
	if err := q.Check(); err != nil {
		return Key{}, err
	}
	if q.Cursor == "" {
		first, _ := ParseKey(q.Prefix + strings.Repeat("0", hex.EncodedLen(len(Key{}))-len(q.Prefix)))
		return first, nil
	}
	k, ok := ParseKey(q.Cursor)
	if !ok || !q.Matches(k) {
		return Key{}, ErrCursor
	}
	return k, nil
}

// ParseKey parses the result of [Key.String].
func ParseKey(s string) (k Key, ok bool) {
	if len(s) != hex.EncodedLen(len(k)) {
		return Key{}, false
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil || k.String() != s {
		return Key{}, false // upper case would be another name for the same key
	}
	return k, true
}
