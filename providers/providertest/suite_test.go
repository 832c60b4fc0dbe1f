package providertest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// simple is about the simplest provider there can be, and can be told to break a rule.
type simple struct {
	client *http.Client
	flaw   string
}

// Usable wants an https URL.
func (p *simple) Usable(d *providers.Device, _ providers.Site) error {
	switch p.flaw {
	case "panics in Usable":
		if d.Data[0] != '{' { // the good push has data
			return nil
		}
	case "asks the network in Usable":
		if answer, err := p.client.Get(d.Pushkey); err == nil {
			_ = answer.Body.Close()
		}
	case "modifies the device in Usable":
		d.Pushkey = strings.TrimSpace(d.Pushkey)
	case "shows the endpoint in Usable":
		_, err := url.Parse(d.Pushkey + "%")
		return err
	case "finds nothing unusable":
		return nil
	case "finds a good device unusable":
		return &providers.UnusableError{Reason: "bad_endpoint"}
	case "is slow in Usable":
		for began := time.Now(); time.Since(began) < 10*time.Millisecond; {
		}
	}
	u, err := url.Parse(d.Pushkey)
	if err != nil || u.Scheme != "https" || p.flaw == "finds a private network unusable" && u.Hostname() == "10.0.0.1" {
		return &providers.UnusableError{Reason: "bad_endpoint", Err: errors.New("the endpoint is not an https URL")}
	}
	return nil
}

// targeted is a simple provider whose pushes go where a device's data say.
type targeted struct {
	*simple
	asked atomic.Int64
}

func urlIn(d *providers.Device) string {
	var data struct {
		URL string `json:"url"`
	}
	_ = json.Unmarshal(d.Data, &data)
	return data.URL
}

func (p *targeted) Usable(d *providers.Device, site providers.Site) error {
	return p.simple.Usable(&providers.Device{Pushkey: urlIn(d)}, site)
}

func (p *targeted) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	return p.simple.Push(ctx, &providers.Push{Notification: push.Notification, Device: &providers.Device{Pushkey: urlIn(push.Device)}})
}

func (p *targeted) Target(d *providers.Device) string {
	switch p.flaw {
	case "has one target for all":
		return "the same"
	case "has ever other targets":
		return strconv.FormatInt(p.asked.Add(1), 10)
	case "has a target for each registration":
		return urlIn(d) + strconv.FormatInt(d.PushkeyTS, 10)
	case "modifies the device in Target":
		d.Pushkey = strings.TrimSpace(d.Pushkey)
	case "panics in Target":
		return string(d.Data[:1])
	case "asks the network in Target":
		if answer, err := p.client.Get(urlIn(d)); err == nil {
			_ = answer.Body.Close()
		}
	}
	return urlIn(d)
}

func (p *simple) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	if u, err := url.Parse(push.Device.Pushkey); (err != nil || u.Scheme != "https") && p.flaw != "sends what is unusable" {
		reason := "bad_endpoint"
		if p.flaw == "has two reasons" {
			reason = "bad_pushkey"
		}
		return providers.Unusable(reason, errors.New("the endpoint is not an https URL"))
	}
	switch p.flaw {
	case "sends what is unusable":
		push = &providers.Push{Notification: push.Notification, Device: &providers.Device{
			Pushkey: strings.Replace(push.Device.Pushkey, "http:", "https:", 1),
		}}
	case "ignores its context":
		ctx = context.WithoutCancel(ctx)
	case "modifies the push":
		push.Device.Pushkey += "/"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, push.Device.Pushkey, strings.NewReader("{}"))
	if err != nil {
		return providers.Unusable("bad_endpoint", errors.New("the endpoint is no URL"))
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return p.failed(err)
	}
	if p.flaw != "leaves bodies open" {
		defer func() { _ = answer.Body.Close() }()
	}
	limit := int64(64 << 10)
	if p.flaw == "reads without end" {
		limit = 1 << 60
	}
	body := io.Discard
	text := new(strings.Builder)
	if p.flaw == "shows the answer" {
		body = text
	}
	if p.flaw != "does not read bodies" && p.flaw != "leaves bodies open" {
		_, _ = io.Copy(body, io.LimitReader(answer.Body, limit))
	}
	o := classify(answer, text.String())
	if p.flaw == "blames the service for a device's limit" {
		o.Cause = providers.CauseService
	}
	return o
}

func (p *simple) failed(err error) providers.Outcome {
	switch p.flaw {
	case "shows the URL":
		return providers.Unreachable("network", err)
	case "blames the service for the network":
		return providers.Retry("network", 0, errors.New("the network failed"))
	case "rejects for the network":
		return providers.Rejected("network")
	case "takes a lost answer for success":
		return providers.Delivered()
	default:
		return providers.Unreachable("network", errors.New("the network failed"))
	}
}

func classify(answer *http.Response, text string) providers.Outcome {
	var detail error
	if text != "" {
		detail = errors.New(text)
	}
	switch status := answer.StatusCode; {
	case status < 300:
		return providers.Delivered()
	case status == http.StatusGone:
		return providers.Rejected("gone")
	case status == http.StatusNotFound:
		return providers.Suspected("not_found")
	case status == http.StatusTooManyRequests:
		after, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return providers.Limited("rate_limited", time.Duration(after)*time.Second, detail)
	default:
		return providers.Retry("unavailable", 0, detail)
	}
}

// suiteOf is the suite for the simple provider with a flaw, or with none.
func suiteOf(flaw string) providertest.Suite {
	suite := providertest.Suite{
		Secrets: []string{"/up/very-secret", "and the content"},
		Verdicts: []providertest.Verdict{
			{Name: "201 is delivered", Status: 201, Kind: providers.KindDelivered, Reason: "delivered"},
			{Name: "410 is rejected", Status: 410, Kind: providers.KindRejected, Reason: "gone"},
			{Name: "404 is suspected", Status: 404, Kind: providers.KindSuspected, Reason: "not_found"},
			{
				Name: "429 is for later", Status: 429, Header: http.Header{"Retry-After": {"7"}},
				Kind: providers.KindRetry, Cause: providers.CauseDevice, RetryAfter: 7 * time.Second,
			},
		},
		Unusable: []providers.Device{{Pushkey: "http://127.0.0.1/up/very-secret", Data: []byte("{}")}, {Data: []byte("{}")}},
		Usable:   []providers.Device{{Pushkey: "https://10.0.0.1/up/very-secret", Data: []byte("{}")}},
	}
	if flaw == "has another verdict" {
		suite.Verdicts[1].Kind = providers.KindDropped
	}
	if strings.Contains(flaw, "arget") {
		suite.Unusable = []providers.Device{{Data: []byte("{}")}, {Data: []byte(`{"url":"http://127.0.0.1/up/very-secret"}`)}}
		suite.Usable = []providers.Device{{Data: []byte(`{"url":"https://10.0.0.1/up/very-secret"}`)}}
	}
	suite.New = func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
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
		if flaw == "has no Usable" {
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

func TestTheSuitePassesAProviderThatKnowsNothingBeforehand(t *testing.T) {
	t.Parallel()
	suite := suiteOf("has no Usable")
	suite.Unusable = nil
	providertest.Run(t, suite)
}

// flawVariable makes this program run the suite for a provider with the flaw, see TestTheSuiteCatchesABadProvider.
const flawVariable = "PROVIDERTEST_FLAW"

func TestASuiteThatMustFail(t *testing.T) {
	flaw := os.Getenv(flawVariable)
	if flaw == "" {
		t.Skip("run by TestTheSuiteCatchesABadProvider")
	}
	providertest.Run(t, suiteOf(flaw))
}

func TestTheSuiteCatchesABadProvider(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const known = "a device that can never be delivered to is known at once"
	const apart = "a device is told apart by all that decides where its pushes go"
	flaws := map[string]string{ // and the test that catches it
		"has no Target":                           apart,
		"has one target for all":                  apart,
		"has ever other targets":                  apart,
		"has a target for each registration":      apart,
		"modifies the device in Target":           apart,
		"panics in Target":                        apart,
		"asks the network in Target":              apart,
		"panics in Usable":                        known,
		"asks the network in Usable":              known,
		"modifies the device in Usable":           known,
		"shows the endpoint in Usable":            known,
		"finds nothing unusable":                  known,
		"finds a good device unusable":            known,
		"finds a private network unusable":        known,
		"is slow in Usable":                       known,
		"sends what is unusable":                  known,
		"has two reasons":                         known,
		"has no Usable":                           known,
		"blames the service for the network":      "a network that fails means try again",
		"blames the service for a device's limit": "every answer has its verdict",
		"has another verdict":                     "every answer has its verdict",
		"modifies the push":                       "concurrent pushes do not disturb each other",
		"ignores its context":                     "a push ends with its context",
		"rejects for the network":                 "a network that fails means try again",
		"trusts everybody":                        "a network that fails means try again",
		"shows the URL":                           "a network that fails means try again",
		"takes a lost answer for success":         "a connection that is cut at any byte means try again",
		"shows the answer":                        "no outcome shows a secret",
		"does not read bodies":                    "answers are read to their end and closed",
		"leaves bodies open":                      "answers are read to their end and closed",
		"reads without end":                       "answers are read to their end and closed",
		"follows redirects":                       "a redirect is not followed",
	}
	for flaw, by := range flaws {
		t.Run("that "+flaw, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				t.Skip("it takes the time limits of the suite")
			}
			run := exec.CommandContext(t.Context(), program, "-test.run", "^TestASuiteThatMustFail$/^"+by+"$", "-test.timeout", "60s")
			run.Env = append(os.Environ(), flawVariable+"="+flaw)
			output, err := run.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passes it")
			}
			if !strings.Contains(string(output), "--- FAIL: TestASuiteThatMustFail/"+strings.ReplaceAll(by, " ", "_")) {
				t.Errorf("another test caught it:\n%s", output)
			}
		})
	}
}
