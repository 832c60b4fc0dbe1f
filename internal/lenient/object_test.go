package lenient_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

func TestTheMembersOfAnObjectAreSortedAndThereOnce(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"b": 1.0, "a": "x" }`:                     `a="x" b=1.0`,
		`{"a": 1, "b": { }, "a": null}`:             `a=null b={ }`,
		` {"\u0061": [1, {"a": 2}], "A": "\ud800"}`: `A="\ud800" a=[1, {"a": 2}]`,
		`{}`: ``, `[{"a": 1}]`: ``, `"a"`: ``, `null`: ``, ``: ``, `{"a": 1`: ``, `{"a": 1} 2`: ``,
	} {
		var got []string
		for _, member := range lenient.Object([]byte(data)) {
			got = append(got, member.Name+"="+string(member.Value))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %q", data, got)
		}
	}
}

func TestAValueIsThatOfTheLastMemberWithTheName(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"b": 1, "a": { }, "c": 2}`: `{ }`, `{"a": 1, "\u0061": "x"}`: `"x"`, `{"a": 1, "a": null}`: `null`,
		`{"A": 1, "b": {"a": 1}}`: ``, `{}`: ``, `["a"]`: ``, ``: ``, `{"a": 1`: ``,
	} {
		if got := lenient.Value([]byte(data), "a"); string(got) != want {
			t.Errorf("%s: got %s", data, got)
		}
	}
}

func TestTheEmptyNameIsANameLikeAnyOther(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{`{"a": 1}`: ``, `{"": 1, "a": 2}`: `1`, `{"": {"": 1}, "": 2, "a": 3}`: `2`, `{}`: ``} {
		if got := lenient.Value([]byte(data), ""); string(got) != want {
			t.Errorf("%s: got %s", data, got)
		}
	}
}

func TestNobodyWritesBehindAValue(t *testing.T) {
	t.Parallel()
	data := []byte(`{"a": 1, "b": 2}`)
	_ = append(lenient.Object(data)[0].Value, "3"...)
	_ = append(lenient.Value(data, "a"), "3"...)
	if string(data) != `{"a": 1, "b": 2}` {
		t.Errorf("the data are %s", data)
	}
}

// FuzzObject wants the same members as those of a map.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{"b": 1.0, "a": "x", "b": [ ]}`, `{"\u0061": 1, "a": 2, "\ud800": 3, "\udfff": 4}`,
		"{\"\xff\": 1, \"\xfe\": \"\xff\"}", ` null`, `{"": {}} {}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var want map[string]json.RawMessage
		if lenient.Unmarshal([]byte(data), &want) != nil {
			want = nil
		}
		got := lenient.Object([]byte(data))
		if len(got) != len(want) {
			t.Fatalf("%q has the members %v, want %v", data, got, want)
		}
		for i, member := range got {
			if string(member.Value) != string(want[member.Name]) || i > 0 && got[i-1].Name >= member.Name {
				t.Errorf("%q has the members %v, want %v", data, got, want)
			}
			if value := lenient.Value([]byte(data), member.Name); string(value) != string(member.Value) {
				t.Errorf("%q: the value of %q is %s", data, member.Name, value)
			}
		}
	})
}
