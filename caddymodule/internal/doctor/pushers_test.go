package doctor

import (
	"fmt"
	"strings"
	"testing"
)

const ours = "https://push.example.org/_matrix/push/v1/notify"

// plaintextRefused is what a gateway answers to a request without TLS.
const plaintextRefused = `403 {"errcode":"M_FORBIDDEN","error":"this gateway accepts requests over TLS only"}`

func TestAHealthyAccountHasNoFinding(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r := s.examine()
	r.wantCodes(t)
	if r.UserID != alice || len(r.Rings) != 7 || len(r.Pushers) != 1 || !r.Pushers[0].Ours || r.Pushers[0].PushkeyHash != hash {
		t.Errorf("the report is %+v", r)
	}
	if r.Homeserver.Requests > 10 || r.Homeserver.Software != "synapse" {
		t.Errorf("the homeserver is %+v", r.Homeserver)
	}
	if len(s.asked) != 1 || s.asked[0] != "GET "+ours || len(s.sent) > 0 {
		t.Errorf("asked were %q, and sent was %v", s.asked, s.sent)
	}
}

func TestD07_APusherOfAnotherGatewayIsNotOurProblem(t *testing.T) {
	t.Parallel()
	for answer, said := range map[string]string{
		`405 {"errcode":"M_UNRECOGNIZED"}`: "A gateway answers there.",
		"404 <html>":                       "No gateway answers there.",
		plaintextRefused:                   "A gateway answers there.",
		"500 ":                             "It answers this machine with status 500.",
		"":                                 "No gateway answers this machine there: dial tcp: connection refused.",
	} {
		s := newScene(t)
		if s.urls["matrix.org"] = answer; answer == "" {
			delete(s.urls, "matrix.org")
		}
		s.pushers = append(s.pushers, strings.Replace(pusher("im.vector.app", "https://matrix.org/_matrix/push/v1/notify", ""), canary, canary+"2", 1))
		r := s.examine()
		r.wantCodes(t, "other_gateway")
		r.wantText(t, "other_gateway", "The pusher sends to matrix.org, which is not a site of this gateway. "+said)
		if r.Problems() != 0 || r.Pushers[1].Ours {
			t.Errorf("the report is %+v", r)
		}
	}
	s := newScene(t)
	s.pushers = []string{pusher("im.vector.app", "https://matrix.org/_matrix/push/v1/notify", "")}
	s.examine().wantCodes(t, "no_pusher_here", "other_gateway")
}

func TestD08_APrivateAddressNamesTheSettingOfSynapse(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"10.1.2.3", "127.0.0.1", "::1", "fd00::1", "192.168.0.1"} {
		s := newScene(t)
		s.addresses["push.example.org"] = address
		s.examine().wantCodes(t) // a notification arrived, so the homeserver allows it
		s.explained["org.example.up"] = `"app":"org.example.up","waiting":false`
		r := s.examine()
		r.wantCodes(t, "private_address")
		r.wantText(t, "private_address", "push.example.org has the private address "+address)
		r.wantText(t, "private_address", "add the address to ip_range_whitelist")
	}
}

func TestD09_APathThatIsNotRoutedHereIsNamed(t *testing.T) {
	t.Parallel()
	for answer, code := range map[string]string{
		`404 {"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}`: "path_not_routed",
		"404 <html>":        "path_not_routed",
		"200 ":              "path_not_routed",
		"200 <html>Welcome": "path_not_routed",
		`200 {"ok":true}`:   "path_not_routed",
		"301 ":              "url_redirects",
		"502 ":              "answers_with_error",
		plaintextRefused:    "plaintext_refused",
	} {
		s := newScene(t)
		s.urls["push.example.org"] = answer
		r := s.examine()
		r.wantCodes(t, code)
		r.wantText(t, code, "push.example.org")
	}
}

func TestD10_AGatewayAnswers405OrItsDocument(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"405 ", `405 {"errcode":"M_UNRECOGNIZED","error":"use POST"}`, `200 {"gateway":"matrix","unifiedpush":{"gateway":"matrix"}}`,
		`200 {"unifiedpush":{"gateway":"matrix"}}`, `200 {"webpush":{"org.example.web":{"application_server_key":"BMSF"}}}`,
	} {
		s := newScene(t)
		s.urls["push.example.org"] = answer
		s.examine().wantCodes(t)
	}
}

func TestAGatewayThatDoesNotAnswerIsAProblemUnlessTheHomeserverReachesIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	delete(s.urls, "push.example.org")
	s.examine().wantCodes(t, "not_reachable_from_here")
	s.explained["org.example.up"] = `"app":"org.example.up","waiting":false`
	s.examine().wantCodes(t, "not_reachable")
	s.explained["org.example.up"] += `,"last":{"at":"2026-03-12T11:59:00Z","app":"org.example.up","outcome":"delivered","reason":"delivered"}`
	s.examine().wantCodes(t, "not_reachable")
	s.addresses["push.example.org"] = "none"
	s.examine().wantCodes(t, "name_unknown")
}

func TestAURLThatHomeserversCannotUseIsNamed(t *testing.T) {
	t.Parallel()
	for url, code := range map[string]string{
		"":                                     "url_malformed",
		"push.example.org":                     "url_malformed",
		"ftp://push.example.org/":              "url_malformed",
		"https://push.example.org":             "url_wrong_path",
		ours + "/":                             "url_wrong_path",
		"http://push.example.org" + notifyPath: "url_not_https",
	} {
		s := newScene(t)
		s.pushers = []string{pusher("org.example.up", url, "")}
		r := s.examine()
		if f := r.Findings[0]; f.Code != code && (len(r.Findings) < 2 || r.Findings[1].Code != code) {
			t.Errorf("%q: %+v", url, r.Findings)
		}
		if len(s.asked) > 0 {
			t.Errorf("%q was asked: %q", url, s.asked)
		}
	}
}

func TestASiteForAllNamesIsOursOnlyIfAGatewayAnswers(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.explained["org.example.up"] = `"app":"org.example.up","waiting":false,` + lastDelivered + `,"arrival":{"site":"push.example.org","result":"accepted"}`
	s.examine().wantCodes(t)
	s.urls["push.example.org"] = plaintextRefused
	s.examine().wantCodes(t, "plaintext_refused")
	s.urls["push.example.org"] = "404 "
	s.examine().wantCodes(t, "no_pusher_here", "other_gateway")
}

func TestAtASiteForAllNamesAURLThatHomeserversCannotUseIsNamed(t *testing.T) {
	t.Parallel()
	for url, code := range map[string]string{
		"https://push.example.org":             "url_wrong_path",
		"http://push.example.org" + notifyPath: "url_not_https",
	} {
		s := newScene(t)
		s.explained["org.example.up"] = `"app":"org.example.up","waiting":false,` + lastDelivered +
			`,"arrival":{"site":"push.example.org","result":"accepted"}`
		s.pushers = []string{pusher("org.example.up", url, `,"format":"event_id_only"`)}
		s.examine().wantCodes(t, code)
		if len(s.asked) != 1 || s.asked[0] != "GET "+ours {
			t.Errorf("%q: asked were %q", url, s.asked)
		}
		s.urls["push.example.org"] = "404 "
		s.examine().wantCodes(t, "no_pusher_here", "other_gateway")
	}
}

func TestD11_AnAppIDThatNoAppServesNamesTheNearest(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pushers = []string{pusher("org.exmple.up", ours, `,"format":"event_id_only"`)}
	s.explained["org.exmple.up"] = `"app":"","waiting":false,"unusable":{"reason":"unknown_app","explanation":"no app or site serves the device",` +
		`"detail":"no app serves \"org.exmple.up\": did you mean \"org.example.up\"?"}`
	r := s.examine()
	r.wantCodes(t, "app_unknown")
	r.wantText(t, "app_unknown", `no app serves "org.exmple.up": did you mean "org.example.up"?`)
}

func TestASiteThatDoesNotServeTheAppIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.explained["org.example.up"] = `"app":"org.example.up","waiting":false,"arrival":{"site":"push.example.org","result":"app_not_served",` +
		`"detail":"the site \"push.example.org\" does not serve the app \"org.example.up\""}`
	s.examine().wantCodes(t, "site_without_app")
}

func TestD12_TwoPushersForOnePushkeyAreNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pushers = append(s.pushers, pusher("org.example.web", ours, ""))
	r := s.examine()
	r.wantCodes(t, "duplicate_pushers")
	r.wantText(t, "duplicate_pushers", "The pushers 1 and 2 have the same pushkey")
	s.pushers[1] = pusher("org.example.web", "https://matrix.org"+notifyPath, "")
	s.examine().wantCodes(t, "other_gateway")
}

func TestD13_APushkeyOfTheWrongFormHasTheReasonOfExplain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.explained["org.example.up"] = `"app":"org.example.up","waiting":false,"unusable":{"reason":"bad_endpoint",` +
		`"explanation":"the endpoint is not an https URL: the client must register again","detail":"the scheme must be https"}`
	r := s.examine()
	r.wantCodes(t, "pushkey_unusable")
	r.wantText(t, "pushkey_unusable", "(bad_endpoint): the scheme must be https")
	r.wantText(t, "pushkey_unusable", "The endpoint is not an https URL: the client must register again.")
}

func TestD15_WhatHoldsPushesIsNamedWithItsCommand(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.explained["org.example.up"] = `"app":"org.example.up","waiting":true,` + lastDelivered
	r := s.examine()
	r.wantCodes(t, "pending_pushes")
	r.wantText(t, "pending_pushes", "caddy matrix-push outbox list --app 'org.example.up'")

	s = newScene(t)
	s.overview = strings.Replace(s.overview, `"dead":0,"pushkeys":9},"proven":true,"content":"event_id_only","troubles":[]},
	{"app":"org.example.web"`, `"tripped":"2026-03-14T11:55:00Z","dead":30,"pushkeys":40},"proven":true,"content":"event_id_only","troubles":[]},
	{"app":"org.example.web"`, 1)
	r = s.examine()
	r.wantCodes(t, "fuse_tripped")
	r.wantText(t, "fuse_tripped", "caddy matrix-push fuse reset --app 'org.example.up'")

	s = newScene(t)
	s.explained["org.example.up"] = `"app":"","waiting":false,"held":"fuse","unusable":{"reason":"unknown_app","detail":"no app serves it"}`
	s.examine().wantText(t, "fuse_tripped", "caddy matrix-push fuse reset --unknown-apps")

	for reason, code := range map[string]string{
		"breaker_open": "breaker_open", "failing": "app_failing", "credential_expired": "credential_expired", "outbox_full": "outbox_full",
	} {
		s = newScene(t)
		s.overview = strings.Replace(s.overview, `"degraded":[]`, `"degraded":[{"app":"org.example.up","reason":"`+reason+`","detail":"network"},
			{"app":"org.example.ios","reason":"`+reason+`"}]`, 1)
		r = s.examine()
		r.wantCodes(t, code)
		r.wantText(t, code, "org.example.up")
	}
}

func TestD16_ADoubtedRejectionNamesTheSetting(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.overview = strings.Replace(s.overview, `"degraded":[]`, `"degraded":[{"app":"org.example.ios","reason":"misconfigured","detail":"topic_disallowed",`+
		`"word":"DeviceTokenNotForTopic","explanation":"this key may not send to topic: set topic to the exact bundle ID"}]`, 1)
	s.pushers = []string{pusher("org.example.ios", ours, `,"format":"event_id_only","default_payload":{"aps":{"alert":{"loc-key":"A"},"mutable-content":1}}`)}
	s.explained["org.example.ios"] = `"app":"org.example.ios","waiting":true,"held":"doubt","last":{"at":"2026-03-14T11:59:00Z","app":"org.example.ios",` +
		`"outcome":"doubted","reason":"topic_disallowed","explanation":"this key may not send to topic: set topic to the exact bundle ID"}`
	r := s.examine()
	r.wantCodes(t, "rejection_doubted", "app_misconfigured", "pending_pushes")
	for _, code := range []string{"rejection_doubted", "app_misconfigured"} {
		r.wantText(t, code, "set topic to the exact bundle ID")
	}
}

func TestAnAppThatHasDeliveredNothingIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.overview = strings.ReplaceAll(s.overview, `"proven":true`, `"proven":false`)
	s.examine().wantCodes(t, "app_unproven")
	s.examine(func(o *Options) { o.Send = true }).wantCodes(t, "test_delivered")
}

func TestAtMostTenURLsAreAsked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 30 {
		s.pushers = append(s.pushers, strings.Replace(pusher("app", fmt.Sprintf("https://%d.example.org%s", i, notifyPath), ""), canary, fmt.Sprint(canary, i), 1))
	}
	r := s.examine()
	if len(s.asked) != 10 || len(r.Findings) != 30 {
		t.Errorf("%d URLs were asked, and there are %d findings", len(s.asked), len(r.Findings))
	}
	r.wantText(t, "other_gateway", "Its URL was not asked.")
}

func TestD17_AnIOSAppWithoutAlertIsWarnedOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		appID, data string
		want        []string
	}{
		"an app without default_payload": {"org.example.ios", "", []string{"ios_without_aps"}},
		"an app without an alert":        {"org.example.ios", `,"default_payload":{"aps":{"mutable-content":1}}`, []string{"ios_without_aps"}},
		"Element X":                      {"org.example.ios", `,"default_payload":{"aps":{"alert":{"loc-key":"A"}}}`, nil},
		"Android":                        {"org.example.up", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.pushers = []string{pusher(c.appID, ours, `,"format":"event_id_only"`+c.data)}
			s.examine().wantCodes(t, c.want...)
		})
	}
}

func TestD18_AFullFormatWithReducedContentIsExplained(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pushers = []string{pusher("org.example.up", ours, "")}
	r := s.examine()
	r.wantCodes(t, "content_left_out")
	r.wantText(t, "content_left_out", "the app org.example.up has content event_id_only")
	if r.Problems() != 0 {
		t.Error("it is not a problem")
	}
	s.pushers = []string{pusher("org.example.web", ours, "")}
	s.examine().wantCodes(t)
}

func TestWhatPushServicesSaidAboutADeviceIsNamed(t *testing.T) {
	t.Parallel()
	record := `"record":{"pushkey_hash":"` + hash + `","app":"org.example.up","reason":"gone","first_seen":"2026-03-14T11:00:00Z","last_seen":"2026-03-14T11:30:00Z",`
	for name, c := range map[string]struct{ explained, code, text string }{
		"dead":                         {record + `"verdicts":1,"condemned_until":"2026-03-14T10:00:00Z"}`, "pushkey_dead", "(gone). Pushers registered until 2026-03-14 10:00:00 are rejected"},
		"dead, and delivered to since": {record + `"verdicts":1},` + lastDelivered, "pushkey_was_dead", "delivered 2026-03-14 11:59:00"},
		"suspected": {
			record + `"verdicts":0,"suspicion":{"since":"2026-03-14T11:58:00Z","looks":2,"look_at":"2026-03-14T12:01:00Z"}}`,
			"pushkey_suspected", "rejected explain --hash ab12cd34",
		},
		"not delivered": {
			`"last":{"at":"2026-03-14T11:59:00Z","app":"org.example.up","outcome":"retry","reason":"server_error","explanation":"the push server has a problem: the push is retried"}`,
			"last_attempt_failed", "(server_error) at 2026-03-14 11:59:00. The push server has a problem: the push is retried.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.explained["org.example.up"] = `"app":"org.example.up","waiting":false,` + c.explained
			r := s.examine()
			r.wantCodes(t, c.code)
			r.wantText(t, c.code, c.text)
		})
	}
}

func TestAPusherThatIsTurnedOffIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pushers[0] = strings.Replace(s.pushers[0], `"lang"`, `"org.matrix.msc3881.enabled":false,"lang"`, 1)
	s.examine().wantCodes(t, "pusher_disabled")
	s.pushers[0] = strings.Replace(s.pushers[0], `false`, `true`, 1)
	s.examine().wantCodes(t)
}

func TestManyPushersAreCheckedUpToABound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range 99 {
		s.pushers = append(s.pushers, strings.Replace(s.pushers[0], `"kind":"http"`, `"kind":"email"`, 1))
	}
	r := s.examine()
	if len(r.Pushers) != 50 {
		t.Errorf("%d pushers were checked", len(r.Pushers))
	}
	r.wantText(t, "many_pushers", "The account has 100 pushers. Only the first 50 were checked.")
}

func TestATestIsSentOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pushers = append(s.pushers,
		strings.Replace(pusher("org.example.refused", ours, `,"format":"event_id_only"`), canary, canary+"2", 1),
		strings.Replace(pusher("im.vector.app", "https://matrix.org"+notifyPath, ""), canary, canary+"3", 1))
	r := s.examine(func(o *Options) { o.Send = true })
	r.wantCodes(t, "test_not_delivered", "other_gateway", "test_delivered")
	if len(s.sent) != 2 || s.sent[0].Site != "push.example.org" || r.Pushers[0].Test == nil {
		t.Errorf("sent was %+v", s.sent)
	}
}
