package providertest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// suiteOf returns the suite for the simple provider with a flaw, or without one.
func suiteOf(flaw string) providertest.Suite {
	suite := providertest.Suite{
		Rings:   rings,
		Secrets: []string{"/up/very-secret", "and the content"},
		Verdicts: []providertest.Verdict{
			{Name: "201 is delivered", Status: 201, Kind: providers.KindDelivered, Reason: "delivered"},
			{Name: "410 is rejected", Status: 410, Kind: providers.KindRejected, Reason: "gone", Documented: "RFC 9110, section 15.5.11"},
			{Name: "404 is suspected", Status: 404, Kind: providers.KindSuspected, Reason: "not_found"},
			{
				Name: "429 is for later", Status: 429, Header: http.Header{"Retry-After": {"7"}},
				Kind: providers.KindRetry, Cause: providers.CauseDevice, RetryAfter: 7 * time.Second,
			},
		},
		Unusable: []providers.Device{{Pushkey: "http://127.0.0.1/up/very-secret", Data: []byte("{}")}, {Data: []byte("{}")}},
		Usable:   []providers.Device{{Pushkey: "https://10.0.0.1/up/very-secret", Data: []byte("{}")}},
	}
	switch flaw {
	case "has another verdict":
		suite.Verdicts[1].Kind = providers.KindDropped
	case "has no page for a death":
		suite.Verdicts[1].Documented = " "
	case "has no page for a word":
		suite.Verdicts = append(suite.Verdicts, providertest.Verdict{
			Name: "404 with a word is rejected", Status: 404, Body: "dead", Kind: providers.KindRejected,
		})
	case "documents a 401 as a death":
		suite.Verdicts = append(suite.Verdicts, providertest.Verdict{
			Name: "401 is rejected", Status: 401, Body: "dead", Kind: providers.KindRejected, Documented: "a page",
		})
	case "has no Rings":
		suite.Rings = nil
	case "has Rings that see nothing":
		suite.Rings = func(*http.Request, []byte) bool { return false }
	case "lists nothing unusable":
		suite.Unusable = nil
	case "is encrypted":
		suite.Decrypt = decrypted
	}
	if strings.Contains(flaw, "arget") {
		suite.Unusable = []providers.Device{{Data: []byte("{}")}, {Data: []byte(`{"url":"http://127.0.0.1/up/very-secret"}`)}}
		suite.Usable = []providers.Device{{Data: []byte(`{"url":"https://10.0.0.1/up/very-secret"}`)}}
	}
	suite.New = func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
		if flaw == "never cleans up" {
			t.Cleanup(func() { select {} })
		}
		if strings.Contains(flaw, "arget") {
			push := &providers.Push{
				Notification: &providers.Notification{EventID: "$e"},
				Device:       &providers.Device{Pushkey: "key", Data: []byte(`{"url":"` + baseURL + `/up/very-secret"}`)},
			}
			p := &targeted{simple: newSimple(t, flaw, caFile)}
			if flaw == "has no Target" {
				return struct {
					providers.Provider
					providers.Usable
				}{p, p}, push
			}
			return p, push
		}
		var p providers.Provider = newSimple(t, flaw, caFile)
		if strings.HasPrefix(flaw, "has no Usable") {
			p = struct{ providers.Provider }{p}
		}
		return p, &providers.Push{
			Notification: &providers.Notification{EventID: "$e"},
			Device:       &providers.Device{Pushkey: baseURL + "/up/very-secret", Data: []byte(`{"url": "x"}`)},
		}
	}
	return suite
}

func newSimple(t *testing.T, flaw, caFile string) *simple {
	t.Helper()
	authority, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{
			RootCAs: pool, MinVersion: tls.VersionTLS12,
			InsecureSkipVerify: flaw == "trusts everybody", // that is the flaw
		},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	if flaw != "follows redirects" {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &simple{client: client, flaw: flaw}
}

func TestTheSuitePassesAGoodProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, suiteOf(""))
}

func TestTheSuitePassesAGoodProviderWithTargets(t *testing.T) {
	t.Parallel()
	providertest.Run(t, suiteOf("a good Target"))
}

func TestTheSuitePassesAGoodProviderThatEncrypts(t *testing.T) {
	t.Parallel()
	providertest.Run(t, suiteOf("is encrypted"))
}

func TestTheSuitePassesAProviderThatKnowsNothingBeforehand(t *testing.T) {
	t.Parallel()
	suite := suiteOf("has no Usable")
	suite.Unusable, suite.NothingUnusable = nil, true
	providertest.Run(t, suite)
}

// flawVariable makes this program run the suite for a provider with the flaw: see TestTheSuiteCatchesABadProvider.
const flawVariable = "PROVIDERTEST_FLAW"

func TestASuiteThatMustFail(t *testing.T) {
	flaw := os.Getenv(flawVariable)
	if flaw == "" {
		t.Skip("run by TestTheSuiteCatchesABadProvider")
	}
	providertest.Run(t, suiteOf(flaw))
}

// runFlawed runs the suite, or a test of it, for a provider with a flaw, and returns the output. The suite must fail.
func runFlawed(t *testing.T, flaw, test string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes the time limits of the suite")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	suite := exec.CommandContext(t.Context(), program, "-test.run", "^TestASuiteThatMustFail$"+test, "-test.timeout", "60s")
	suite.Env = append(os.Environ(), flawVariable+"="+flaw)
	output, err := suite.CombinedOutput()
	if err == nil {
		t.Fatal("the suite passes it")
	}
	if strings.Contains(string(output), "panic: test timed out") {
		t.Fatalf("the suite hung:\n%s", output)
	}
	return string(output)
}

func TestAPushThatNeverReturnsHangsNoSuite(t *testing.T) {
	t.Parallel()
	output := runFlawed(t, "never returns", "")
	if !strings.Contains(output, "Push has not returned after") || strings.Count(output, "--- FAIL") != 2 {
		t.Errorf("the output does not have exactly one such failure:\n%s", output)
	}
}

func TestACleanUpThatNeverReturnsHangsNoSuite(t *testing.T) {
	t.Parallel()
	output := runFlawed(t, "never cleans up", "/^a badge update does not ring$")
	if !strings.Contains(output, "the clean-up that New registered has not returned after") {
		t.Errorf("the output does not mention it:\n%s", output)
	}
}

func TestTheSuiteCatchesABadProvider(t *testing.T) {
	t.Parallel()
	const known = "a device that can never be delivered to is known at once"
	const apart = "a device is identified by all that decides where its pushes go"
	const (
		doubt     = "an answer that a wrong setting gets as well proves no death"
		badge     = "a badge update does not ring"
		reduced   = "of a notification that is reduced to ids, no text leaves"
		unusable  = "a push for an unusable device makes no request"
		returning = "a push returns, and nothing makes it panic"
		preview   = "a preview shows what a push sends"
	)
	flaws := map[string]string{ // and the test that catches it
		"rejects for a 400":                         doubt,
		"rejects for a 401":                         doubt,
		"rejects for a 403":                         doubt,
		"rejects for a 404":                         doubt,
		"rejects for a 500":                         doubt,
		"suspects for a 401":                        doubt,
		"has no page for a word":                    doubt,
		"has no page for a death":                   doubt,
		"documents a 401 as a death":                doubt,
		"rings for a badge":                         badge,
		"rings for a badge of zero":                 badge,
		"has no Rings":                              badge,
		"has Rings that see nothing":                badge,
		"remembers names":                           reduced,
		"remembers names in base64":                 reduced,
		"sends the device's data":                   reduced,
		"sends the tweaks":                          reduced,
		"is encrypted, and nobody decrypts":         reduced,
		"has no Usable, and sends what is unusable": unusable,
		"lists nothing unusable":                    unusable,
		"panics":                                    returning,
		"panics without a content":                  returning,
		"has no Target":                             apart,
		"has one target for all":                    apart,
		"has ever other targets":                    apart,
		"has a target for each registration":        apart,
		"modifies the device in Target":             apart,
		"panics in Target":                          apart,
		"asks the network in Target":                apart,
		"panics in Usable":                          known,
		"asks the network in Usable":                known,
		"modifies the device in Usable":             known,
		"shows the endpoint in Usable":              known,
		"finds nothing unusable":                    known,
		"finds a good device unusable":              known,
		"finds a private network unusable":          known,
		"is slow in Usable":                         known,
		"sends what is unusable":                    unusable,
		"has two reasons":                           unusable,
		"has no Usable":                             known,
		"shows another body in Preview":             preview,
		"shows another URL in Preview":              preview,
		"shows another method in Preview":           preview,
		"shows another header in Preview":           preview,
		"hides a header in Preview":                 preview,
		"shows the endpoint in Preview":             preview,
		"shows encryption in Preview":               preview,
		"shows nothing in Preview":                  preview,
		"shows a request for what is unusable":      preview,
		"has another reason in Preview":             preview,
		"modifies the push in Preview":              preview,
		"asks the network in Preview":               preview,
		"panics in Preview":                         preview,
		"blames the service for the network":        "a network that fails means try again",
		"blames the service for a device's limit":   "every answer has its verdict",
		"has another verdict":                       "every answer has its verdict",
		"modifies the push":                         "concurrent pushes do not disturb each other",
		"ignores its context":                       "a push ends with its context",
		"rejects for the network":                   "a network that fails means try again",
		"trusts everybody":                          "a network that fails means try again",
		"shows the URL":                             "a network that fails means try again",
		"takes a lost answer for success":           "a connection that is cut at any byte means try again",
		"shows the answer":                          "no outcome shows a secret",
		"does not read bodies":                      "answers are read to their end and closed",
		"leaves bodies open":                        "answers are read to their end and closed",
		"reads without end":                         "answers are read to their end and closed",
		"follows redirects":                         "a redirect is not followed",
	}
	for flaw, by := range flaws {
		t.Run("that "+flaw, func(t *testing.T) {
			t.Parallel()
			output := runFlawed(t, flaw, "/^"+by+"$")
			if !strings.Contains(output, "--- FAIL: TestASuiteThatMustFail/"+strings.ReplaceAll(by, " ", "_")) {
				t.Errorf("another test caught it:\n%s", output)
			}
		})
	}
}

func TestTheExamplesProviderPassesTheSuite(t *testing.T) {
	t.Parallel()
	providertest.Run(t, lampSuite())
}
