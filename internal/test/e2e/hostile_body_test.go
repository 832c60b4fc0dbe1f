package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Bodies that no homeserver sends. A bad member of one device affects only that device. Whatever the body is, the gateway answers, sends
// nothing that it should not send, and goes on as before.

// nested returns JSON of this many levels.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// nestedObjects returns the same with objects only.
func nestedObjects(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

// hostileBody is a request with one hostile member. D stands for a good device's members, and E for the event_id.
type hostileBody struct {
	name, body string
	status     int
	code       string // of an error
	sent       int    // pushes that the good device gets
}

func hostileBodies() []hostileBody {
	in := func(members string) string {
		return `{"notification":{"event_id":"E",` + members + `,"devices":[{D}]}}`
	}
	device := func(members string) string {
		return `{"notification":{"event_id":"E","devices":[{D,` + members + `}]}}`
	}
	digits, long := strings.Repeat("9", 400), strings.Repeat("x", 64<<10)
	taken := func(name, body string) hostileBody { return hostileBody{name, body, 200, "", 1} }
	noJSON := func(name, body string) hostileBody { return hostileBody{name, body, 400, "M_NOT_JSON", 0} }
	badJSON := func(name, body string) hostileBody { return hostileBody{name, body, 400, "M_BAD_JSON", 0} }
	bodies := []hostileBody{
		taken("a number beyond all floats where nobody looks", in(`"x":1e999`)),
		taken("a count beyond all floats", in(`"counts":{"unread":1e999}`)),
		taken("a count of 400 digits", in(`"counts":{"unread":`+digits+`,"missed_calls":-`+digits+`}`)),
		taken("a count of nothing after many zeros", in(`"counts":{"unread":0.`+strings.Repeat("0", 400)+`}`)),
		taken("a pushkey_ts of 400 digits", device(`"pushkey_ts":`+digits)),
		taken("a pushkey_ts before all times", device(`"pushkey_ts":-`+digits)),
		taken("a pushkey_ts beyond all floats", device(`"pushkey_ts":1e400`)),
		badJSON("a prio that is such a number", in(`"prio":`+digits)),
		badJSON("a count that is a fraction of 400 digits", in(`"counts":{"unread":1.5`+digits+`}`)),
		noJSON("an invalid number", in(`"x":1e`)),
		noJSON("not a number", in(`"x":NaN`)),
		noJSON("infinity", in(`"counts":{"unread":Infinity}`)),
		noJSON("hexadecimal", in(`"x":0x1F`)),

		taken("a member twice, of which the last counts", `{"notification":{"event_id":"$other","event_id":"E","devices":[{D}]}}`),
		taken("a member in another case, which is unknown", in(`"DEVICES":[{"app_id":"org.example.up"}],"Event_ID":7`)),
		taken("devices twice", `{"notification":{"event_id":"E","devices":[{"app_id":"unknown","pushkey":"k"}],"devices":[{D}]}}`),
		taken("the notification twice", `{"notification":{"event_id":"E","devices":[]},"notification":{"devices":[{D}]}}`),
		badJSON("a pushkey twice, the second time none", device(`"pushkey":null`)),
		badJSON("an app_id twice, the second time a number", device(`"app_id":7`)),

		noJSON("a byte that is not UTF-8 in a name", in("\"x\xff\":1")),
		noJSON("UTF-8 that is longer than it must be", in("\"x\":\"\xc0\xaf\"")),
		noJSON("a surrogate in UTF-8", in("\"x\":\"\xed\xa0\x80\"")),
		noJSON("UTF-16", "\xff\xfe{\x00}\x00"),
		noJSON("a byte order mark", "\xef\xbb\xbf"+in(`"x":1`)),
		noJSON("a NUL in a string", in("\"x\":\"\x00\"")),
		noJSON("a NUL behind it", in(`"x":1`)+"\x00"),
		noJSON("a comment", in(`/* */ "x":1`)),
		noJSON("a comma too many", in(`"x":1,`)),
		taken("an escaped NUL", in(`"x":"\u0000","room_id":"!\u0000"`)),
		taken("lone surrogates where nobody looks", in(`"\ud800":"\udfff\ud800"`)),
		taken("lone surrogates in what is sent", in(`"room_id":"!\ud800","content":{"body":"\udc00"},"sender":"\ud800"`)),
		taken("lone surrogates in the data", device(`"data":{"default_payload":{"\ud800":"\ud800"}}`)),

		noJSON("10,000 levels of lists, and no more", strings.Repeat("[", 10_000)),
		noJSON("10,000 levels of objects, and no more", strings.Repeat(`{"a":`, 10_000)),
		noJSON("a text that never ends", `{"notification":{"event_id":"`+long),
	}
	for _, place := range []string{`"x":%s`, `"content":{"x":%s}`, `"counts":{"x":%s}`} {
		bodies = append(bodies,
			noJSON("10,000 levels in "+place, in(fmt.Sprintf(place, nested(10_000)))),
			noJSON("10,000 levels of objects in "+place, in(fmt.Sprintf(place, nestedObjects(10_000)))),
			taken("9,000 levels in "+place, in(fmt.Sprintf(place, nested(9_000)))))
	}
	for _, place := range []string{`"data":{"x":%s}`, `"tweaks":{"x":%s}`, `"x":%s`, `"data":{"default_payload":{"x":%s}}`} {
		bodies = append(bodies,
			noJSON("10,000 levels in a device's "+place, device(fmt.Sprintf(place, nested(10_000)))),
			taken("9,000 levels in a device's "+place, device(fmt.Sprintf(place, nestedObjects(9_000)))))
	}
	for _, place := range []string{
		`"room_id":"%s"`, `"type":"%s"`, `"sender":"%s"`, `"sender_display_name":"%s"`, `"room_name":"%s"`, `"room_alias":"%s"`, `"membership":"%s"`,
		`"prio":"%s"`, `"id":"%s"`, `"x":"%s"`, `"%s":1`, `"content":{"body":"%s"}`, `"content":{"%s":1}`, `"counts":{"%s":1}`,
	} {
		b := taken("64 KiB in "+place, in(fmt.Sprintf(place, long)))
		if strings.Contains(place, "room_id") {
			b.sent = 0 // even the bare ids do not fit into a push message
		}
		bodies = append(bodies, b)
	}
	for _, place := range []string{`"x":"%s"`, `"data":{"%s":1}`, `"data":{"x":"%s"}`, `"data":{"default_payload":{"x":"%s"}}`, `"tweaks":{"sound":"%s"}`} {
		bodies = append(bodies, taken("64 KiB in a device's "+place, device(fmt.Sprintf(place, long))))
	}
	return bodies
}

func TestHostileBodiesGetTheRightAnswer(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	before := s.gateway.footprint()
	for i, test := range hostileBodies() {
		t.Run(test.name, func(t *testing.T) {
			s := scene{t, s.service, s.gateway, &homeserver{t: t, client: s.hs.client, url: s.hs.url}}
			endpoint := s.service.Endpoint(fmt.Sprint("hostile-", i))
			fill := strings.NewReplacer("{D", `{"app_id":"org.example.up","pushkey":"`+endpoint+`"`, `"E"`, `"$hostile"`)
			r := s.hs.notify(fill.Replace(test.body))
			switch {
			case test.status != http.StatusOK:
				wantError(t, r, test.status, test.code)
			case len(r.Rejected) > 0 || r.Status != test.status:
				t.Errorf("answered %d %.200s", r.Status, r.Body)
			}
			s.pushes(endpoint, test.sent)
		})
	}
	s.gateway.returnsTo(before)
}

// A hostile member of a device affects the answer for this device only, and its neighbour is served.
func TestHostileDevicesAreRejectedByName(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	long := strings.Repeat("k", 64<<10)
	for i, pushkey := range []string{long, "https://" + long + "/", "https://127.0.0.1/" + long, `\u0000`, `\ud800`, `{` + nested(100)} {
		good := s.service.Endpoint(fmt.Sprint("neighbour-", i))
		for _, appID := range []string{"unknown", long, `\u0000`, `org.example.up\u0000`, "org.example.web"} {
			body := fmt.Sprintf(`{"notification":{"event_id":"$%d","devices":[{"app_id":"%s","pushkey":"%s"},{"app_id":"org.example.up","pushkey":"%s"}]}}`,
				i, appID, pushkey, good)
			r := s.hs.notify(body)
			if r.Status != http.StatusOK || len(r.Rejected) != 1 || !strings.Contains(r.Body, `"`+pushkey+`"`) {
				t.Errorf("%.40s of %.40s: answered %d %.100s", pushkey, appID, r.Status, r.Body)
			}
		}
		s.pushes(good, 1)
	}
}

func TestTenThousandDevicesSendNothing(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	devices := func(endpoint string, n int) string {
		one := `{"app_id":"org.example.up","pushkey":"` + endpoint + `"}`
		return `{"notification":{"event_id":"$1","devices":[` + strings.Join(slices.Repeat([]string{one}, n), ",") + `]}}`
	}
	for _, test := range []struct {
		name, options string
		status        int
		code          string
	}{
		{"by default, there are too many bytes", "", http.StatusRequestEntityTooLarge, "M_TOO_LARGE"},
		{"with room for the bytes, there are too many devices", "max_body 8MiB", http.StatusBadRequest, "M_BAD_JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway := startGateway(t, service.global("rejected memory\n"+test.options), "matrix_push")
			endpoint := service.Endpoint(test.code)
			wantError(t, gateway.homeserver().notify(devices(endpoint, 10_000)), test.status, test.code)
			if n := len(service.Messages(endpoint)); n != 0 {
				t.Errorf("%d pushes were sent", n)
			}
			wantBody(t, gateway.homeserver().notify(devices(endpoint, 100)), nothingRejected)
			if n := len(service.Messages(endpoint)); n != 1 { // all hundred are the same
				t.Errorf("%d pushes were sent", n)
			}
		})
	}
}
