package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestASecretInALogFailsTheRun(t *testing.T) {
	t.Parallel()
	secret := "https://push.example.org/up/tOpIc"
	line := logged(t, "m", zap.String("k", secret))
	for _, test := range []struct {
		name, log string
		noted     bool
		code      int
		want      int
		says      string
	}{
		{"a log that shows nothing", ordinary(t), true, 0, 0, ""},
		{"a log that shows something", ordinary(t) + line, true, 0, 1, "TestOfThis: the log"},
		{"a log that shows something, of a run that failed", line, true, 2, 2, "‹a pushkey›"},
		{"a log of a run that noted nothing", ordinary(t), false, 0, 1, "recorded, and"},
		{"a log of nothing", "", true, 0, 1, "recorded, and"},
		{"a log that shows the same often", strings.Repeat(line, 50), true, 0, 1, "lines: 50"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger()
			if test.noted {
				l.noteURL(aPushkey, secret)
			}
			file, err := l.log("TestOfThis", "the log")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteString(test.log); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if code := l.verdict(test.code, &out); code != test.want || !strings.Contains(out.String(), test.says) {
				t.Errorf("the run ends with %d and says %s", code, &out)
			}
			if strings.Contains(out.String(), secret) {
				t.Errorf("it shows the secret: %s", &out)
			}
			if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the logs are still there: %v", err)
			}
		})
	}
}

func TestARunWithoutProcessesHasNothingToSearch(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if code := newLedger().verdict(0, &out); code != 0 {
		t.Errorf("it ends with %d and says %s", code, &out)
	}
}

func TestALogThatIsGoneFailsTheRun(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.note(aText, "a secret text")
	file, err := l.log("TestOfThis", "the log")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if code := l.verdict(0, &out); code != 1 || !strings.Contains(out.String(), "it is unknown whether") {
		t.Errorf("it ends with %d and says %s", code, &out)
	}
}

func TestABodyIsNotedHoweverItIsSent(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t, newPushServer(t).global(stateless), "matrix_push")
	for _, http2 := range []bool{false, true} {
		for name, body := range map[string]string{
			"whole": `{"notification":{"devices":[{"app_id":"unknown","pushkey":"%s"}]}}`, "cut off": `{"notification":{"devices":[{"app_id":"unknown","pushkey":"%s"`,
			"a member twice": `{"notification":{"devices":[{"pushkey":"%s","app_id":"unknown","pushkey":"k"}]}}`, "a list": `["%s"]`,
		} {
			for _, once := range []bool{false, true} {
				secret := fmt.Sprintf("noted %s %t %t", name, http2, once)
				var reader io.Reader = strings.NewReader(fmt.Sprintf(body, secret))
				if once {
					reader = io.MultiReader(reader) // which hides all methods but Read
				}
				resp, err := gateway.client(http2).Post(gateway.url(), "application/json", reader)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if canaries.kind(secret) == "" {
					t.Errorf("%s is not", secret)
				}
			}
		}
	}
}

// At the end of the run, this process's log is searched, too. This test shows that it has something to find.
func TestWhatIsSearchedHasEachPushAndEachRequest(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(stateless), "log\nmatrix_push")
	phone, browser := upDevice(service.Endpoint("phone-of-the-access-log")), webPushDevice(service.Subscribe())
	gone := upDevice(service.Endpoint("gone-from-the-access-log"))
	service.Answer(gone.Pushkey, answerGone)
	hs := gateway.homeserver()
	wantBody(t, hs.notify(alert("$access-log", phone, browser, gone)), rejecting(gone.Pushkey))
	wantError(t, hs.notify(`{"notification":{"devices":[{"pushkey":"`+phone.Pushkey+`"`), http.StatusBadRequest, "M_NOT_JSON")
	gateway.terminate()

	log := canaries.written(t.Name())
	for _, text := range []string{
		`"msg":"push delivered"`, `"msg":"push rejected"`, `"logger":"http.log.access","msg":"handled request"`, `"uri":"/_matrix/push/v1/notify"`, `"status":400`,
	} {
		if !strings.Contains(log, text) {
			t.Errorf("%s is not in the log:\n%s", text, log)
		}
	}
	vapid := service.Messages(browser.Data["endpoint"].(string))[0].Header.Get("Authorization")
	_, token, _ := strings.Cut(strings.TrimSuffix(vapid, ","), "t=")
	token, _, _ = strings.Cut(token, ",")
	key, err := os.ReadFile(gateway.dir + "/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	canaries.folder(gateway.dir)
	for text, kind := range map[string]string{
		phone.Pushkey: aPushkey, gone.Pushkey: aPushkey, browser.Pushkey: aPushkey, "/up/phone-of-the-access-log": anEndpoint,
		browser.Data["endpoint"].(string): anEndpoint, browser.Data["auth"].(string): aDeviceKey, "$access-log": anEventID,
		token: aToken, strings.Split(string(key), "\n")[1]: aCredential,
	} {
		if got := canaries.kind(text); got != kind {
			t.Errorf("%q is noted as %q, want %s", text, got, kind)
		}
	}
}
