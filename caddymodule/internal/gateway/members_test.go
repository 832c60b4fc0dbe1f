package gateway

import (
	"fmt"
	"strings"
	"testing"
)

// members returns an object with n members.
func members(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	return strings.Join(list, ",")
}

func TestAnObjectHasABoundedNumberOfMembers(t *testing.T) {
	t.Parallel()
	const devices = `"devices":[{"app_id":"a","pushkey":"k"}]`
	long := strings.Repeat("long", 1000)
	for _, tt := range []struct{ name, before, after, field string }{
		{"of the notification", `{"notification":{` + devices + `,`, `}}`, "notification"},
		{"of the content", `{"notification":{` + devices + `,"content":{`, `}}}`, "notification.content"},
		{"of a device's data", `{"notification":{"devices":[{"app_id":"a","pushkey":"k"},{"app_id":"a","pushkey":"k","data":{"default_payload":{`, `}}}]}}`, "notification.devices[1].data.default_payload"},
		{"beside the notification", `{"notification":{` + devices + `},`, `}`, "the body"},
		{"below no name", `{"notification":{` + devices + `,"":{"":{`, `}}}}`, "notification.."},
		{"below a long name", `{"notification":{` + devices + `,"` + long + `":{`, `}}}`, "notification." + long[:maxField-len("notification.")] + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for n := maxMembers - 10; n <= maxMembers; n++ {
				if _, e := Decode([]byte(tt.before+members(n)+tt.after), 10); e != nil && n < maxMembers-2 { // the object has other members beside them
					t.Fatalf("%d members: %v", n, e)
				}
			}
			_, e := Decode([]byte(tt.before+members(maxMembers+1)+tt.after), 10)
			if e == nil || e.Code != "M_BAD_JSON" || e.Message != tt.field+" has more than 4096 members" {
				t.Errorf("the error is %v", e)
			}
		})
	}
}

func TestOnlyMembersAreCounted(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"colons in a text":                    `{"body":"` + strings.Repeat("a:", 10_000) + `"}`,
		"a list":                              `{"list":[` + strings.Repeat(`":",`, 10_000) + `0]}`,
		"members of many objects":             `{"list":[` + strings.Repeat(`{"a":1,"b":{"c":1}},`, 4_000) + `0]}`,
		"members of what homeservers send":    `{"users":{` + members(2_600) + `},"events":{` + members(1_000) + `}}`,
		"as many as can be in 64 KiB of JSON": `{"users":{` + strings.TrimSuffix(strings.Repeat(`"@u:hs.org":100,`, 4_000), ",") + `}}`,
	} {
		if _, e := Decode([]byte(`{"notification":{"content":`+content+`,"devices":[]}}`), 1); e != nil {
			t.Errorf("%s: %v", name, e)
		}
	}
}
