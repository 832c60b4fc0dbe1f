package pushword

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// sent is what the tests' requests contained.
var sent = Answer{
	Secrets: []string{
		"/wpush/v2/gAAAAABexampleToken_98", "/up/alice", "token=Zm9vYmFyYmF6",
		"vapid t=eyJ0eXAi.eyJhdWQi.c2lnbmF0dXJl, k=BNbexampleKeyBNb", "topicTopic1",
	},
	Content: `{"notification":{"event_id":"$event","room_id":"!room:example.org"}}`,
}

func TestAWordThatNoTableHasIsShownUnlessItMayRepeatWhatWasSent(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"a reason", `{"reason":"QuantumFlux"}`, "QuantumFlux"},
		{"an errno of no service's", `{"errno":4711}`, "4711"},
		{"a code", `{"code":"E_1"}`, "E_1"},
		{"an error", `{"error":"too_bad"}`, "too_bad"},
		{"Matrix' errcode", `{"errcode":"M_UNKNOWN","error":"No"}`, "M_UNKNOWN"},
		{"an error of a Google API", `{"error":{"code":403,"message":"No such token","status":"PERMISSION_DENIED"}}`, "PERMISSION_DENIED"},
		{"an error of a Google API that repeats the path", `{"error":{"status":"exampleToken"}}`, ""},
		{"a text of one word", "InvalidRegistration\n", "InvalidRegistration"},
		{"the status is not a word", `{"code":403}`, ""},
		{"a sentence is not a word", `{"reason":"it is full"}`, ""},
		{"a negative errno is not a word", `{"errno":-111}`, ""},
		{"two words are not a word", "Not today", ""},
		{"a part of the path", `{"reason":"exampletoken"}`, ""},
		{"a small part of the path", `{"reason":"_98"}`, ""},
		{"more than the path has, with a part of it", `{"reason":"lostGAAAAABexampleToken_98"}`, ""},
		{"a short part of a path among other letters", `{"reason":"No_Alice_Here"}`, ""},
		{"a run of the path", `{"reason":"x_ABexampleT_y"}`, ""},
		{"a part of the query", `{"reason":"Zm9vYmFyYmF6"}`, ""},
		{"a part of the token", `{"reason":"c2lnbmF0dXJl"}`, ""},
		{"the key", `{"reason":"BNbexampleKeyBNb"}`, ""},
		{"the topic", `{"reason":"topicTopic1"}`, ""},
		{"a part of the content", `{"reason":"event_id"}`, ""},
		{"the short parts of a path are words of the language", `{"reason":"InvalidPush"}`, "InvalidPush"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := sent
			a.Status, a.Body = http.StatusForbidden, []byte(test.body)
			o, decided := Read(a)
			if decided || o != (providers.Outcome{Word: test.want}) {
				t.Errorf("it is %+v (decides: %t), want the word %q", o, decided, test.want)
			}
		})
	}
}

func TestAWordOfATableIsShownWhateverTheEndpointIs(t *testing.T) {
	t.Parallel()
	a := Answer{Status: http.StatusBadRequest, Body: []byte(`{"reason":"VapidPkHashMismatch"}`), Secrets: []string{"/VapidPkHashMismatch"}}
	if o, decided := Read(a); !decided || o.Word != "VapidPkHashMismatch" {
		t.Errorf("it is %+v", o)
	}
}

// A service's words in another service's form, or with another status, decide nothing.
func TestAWordDecidesOnlyInItsServicesForm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
	}{
		{"ntfy's code beside another status", 404, `{"code":42901,"http":429,"error":"limit reached"}`},
		{"ntfy's code beside a status of its kind", 400, `{"code":40401,"http":404,"error":"page not found"}`},
		{"ntfy's code without its status", 404, `{"code":40401,"error":"page not found"}`},
		{"ntfy's code without its sentence", 404, `{"code":40401,"http":404}`},
		{"ntfy's code that is not the status'", 404, `{"code":40101,"http":404,"error":"no"}`},
		{"an errno without a code", 401, `{"errno":109,"message":"VAPID public key mismatch"}`},
		{"an errno beside another's code", 401, `{"code":401,"errno":106}`},
		{"an errno of a death behind a proxy's 502", 502, `{"code":410,"errno":106}`},
		{"an errno of a death beside a 401", 401, `{"code":404,"errno":102}`},
		{"a dead token by a proxy's 502", 502, `{"reason":"BadWebPushToken"}`},
		{"a dead token after a redirect", 302, `{"reason":"BadWebPushToken"}`},
		{"a reason inside of something", 400, `{"error":{"reason":"BadWebPushToken"}}`},
		{"NextPush's with another status", 400, `{"success":false}`},
		{"Google's sentence with a 503", 503, "push subscription has unsubscribed or expired."},
		{"Google's sentence about a token with a 503", 503, "invalid JWT provided"},
		{"Google's sentence of a death with a 403", 403, "push subscription has unsubscribed or expired."},
		{"Google's short sentence in a longer one", 403, "token has expired, log in again"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Content-Type": {"application/json"}}
			if o, decided := Read(Answer{Status: test.status, Header: h, Body: []byte(test.body)}); decided {
				t.Errorf("it is %+v", o)
			}
		})
	}
}

func TestABlockedDomainRejectsNobodyWhateverItsStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 410} {
		for _, description := range []string{"Domain Blocked", "domain blocked.", "The domain is blocked"} {
			h := http.Header{"X-Wns-Error-Description": {description}}
			if o, decided := Read(Answer{Status: status, Header: h}); !decided || o.Kind != providers.KindMisconfigured {
				t.Errorf("%d, %s is %+v", status, description, o)
			}
		}
	}
}

// deadWords are what a body must have in lower case to reject a pusher without a 410; \u may be any letter of them.
var deadWords = []string{
	"errno", "badwebpushtoken", "push subscription has unsubscribed", "a valid push subscription endpoint", "success", `\u`,
}

// FuzzAnswer checks that no answer panics, rejects without a word for it, or reveals what was sent.
func FuzzAnswer(f *testing.F) {
	for _, r := range providertest.RecordedAnswers() {
		h := r.Answer.Header
		f.Add(r.Answer.Status, h.Get("Content-Type"), h.Get("X-WNS-Status"), h.Get("X-WNS-Error-Description"), r.To("/wp/x").Body)
	}
	f.Add(404, "application/json", "", "", `{"reason":"exampleToken"}`)
	f.Add(410, "", "Zm9vYmFyYmF6", "gAAAAABexampleToken_98", "")
	f.Fuzz(func(t *testing.T, status int, contentType, state, description, body string) {
		a := sent
		a.Status, a.Body = status, []byte(body)
		a.Header = http.Header{"Content-Type": {contentType}, "X-Wns-Status": {state}, "X-Wns-Error-Description": {description}}
		o, decided := Read(a)
		if o.Kind == providers.KindRejected && status != 410 && !(status == 404 && state+description != "") && !hasDeadWord(body) {
			t.Errorf("%d with %q is %+v", status, body, o)
		}
		if o.Unusable || o.Doubtful || o.Blocked || o.WrongKey && o.Kind != providers.KindMisconfigured || o.RetryAfter < 0 {
			t.Errorf("it is %+v", o)
		}
		if decided != (o.Reason != "") || o.Kind == providers.KindDelivered || o.Kind == providers.KindSuspected {
			t.Errorf("it is %+v (decides: %t)", o, decided)
		}
		if providers.Word(o.Word) != o.Word || o.Word != "" && isSecret(o.Word) {
			t.Errorf("%q is shown", o.Word)
		}
		if o.Err != nil && strings.Contains(o.Err.Error(), "example") {
			t.Errorf("the error is %v", o.Err)
		}
	})
}

func hasDeadWord(body string) bool {
	body = strings.ToLower(strings.Join(strings.Fields(body), " "))
	for _, word := range deadWords {
		if strings.Contains(body, word) {
			return true
		}
	}
	return false
}

// isSecret reports whether a word is a part of what was sent, but not of a table; a short one may be an accident.
func isSecret(word string) bool {
	if _, table := appleReasons[word]; table || wnsStates[word] {
		return false
	}
	for _, c := range word {
		if c < '0' || c > '9' {
			all := strings.ToLower(strings.Join(sent.Secrets, " ") + sent.Content)
			return strings.Contains(all, strings.ToLower(word))
		}
	}
	return false // a number, which may be an errno
}
