package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	appleHost   = "api.push.apple.com:443"
	fcmHost     = "fcm.googleapis.com:443"
	oauthHost   = "oauth2.googleapis.com:443"
	mozillaHost = "updates.push.services.mozilla.com:443"
)

// sygnalYAML is the file of an operator who serves three apps. Only the ports and the proxy are for the test.
const sygnalYAML = `log:
  setup:
    version: 1
    root: {level: INFO}
  access:
    x_forwarded_for: true
http:
  bind_addresses: ['127.0.0.1']
  port: {port}
metrics:
  prometheus: {enabled: true, address: 127.0.0.1, port: {port2}}
proxy: "{proxy}"
apps:
  com.example.apns:
    type: apns
    keyfile: AuthKey.p8
    key_id: ` + appleKeyID + `
    team_id: ` + appleTeamID + `
    topic: ` + bundleID + `
    push_type: alert
  com.example.gcm.*:
    type: gcm
    api_version: v1
    project_id: demo-project
    service_account_file: service-account.json
    fcm_options: {android: {notification: {body: a message}}}
  com.example.web:
    type: webpush
    vapid_private_key: private_key.pem
    vapid_contact_email: ops@example.org
    allowed_endpoints: [updates.push.services.mozilla.com]
`

// sygnalScene is the operator's machine: a process with a sygnal.yaml and its files, and the remote services.
type sygnalScene struct {
	*process
	apns      *apple
	fcm       *google
	browsers  *pushServer
	internet  *internet
	publicKey string // of the VAPID key
	logFile   string // of the process
}

func newSygnalScene(t *testing.T) *sygnalScene {
	t.Helper()
	s := &sygnalScene{process: newProcess(t), apns: newApple(t), fcm: newGoogle(t), browsers: newPushServer(t)}
	s.browsers.SetOrigin("https://updates.push.services.mozilla.com")
	s.internet = newInternet(t, secretMark, map[string]site{
		appleHost: {s.apns.URL, s.apns.CAFile}, fcmHost: {s.fcm.URL, s.fcm.CAFile}, oauthHost: {s.fcm.URL, s.fcm.CAFile},
		mozillaHost: {s.browsers.URL, s.browsers.CAFile},
	})
	vapid, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := vapid.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	s.publicKey = base64.RawURLEncoding.EncodeToString(point)
	var account map[string]string
	if err := json.Unmarshal(readFile(t, s.fcm.account), &account); err != nil {
		t.Fatal(err)
	}
	account["token_uri"] = "https://oauth2.googleapis.com/token"
	s.write("AuthKey.p8", readFile(t, s.apns.keyFile))
	s.write("service-account.json", mustMarshal(account))
	s.write("private_key.pem", pemOf(t, vapid))
	s.write("sygnal.yaml", []byte(strings.ReplaceAll(s.expand(sygnalYAML), "{proxy}", s.internet.proxyURL())))
	s.env = append(s.env, "SSL_CERT_FILE="+s.internet.ca.File, "CADDY_ADMIN=unix/"+s.dir+"/admin.sock")
	return s
}

// run runs Caddy in the process's folder, as an operator does, until the end of the test. It returns when the gateway's health check
// succeeds, at the same path as Sygnal's.
func (s *sygnalScene) run(args ...string) {
	s.t.Helper()
	log := s.kept("the log")
	s.logFile = log.Name()
	cmd := s.command(append([]string{"run"}, args...)...)
	cmd.Dir, cmd.Stderr = s.dir, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			s.t.Error("Caddy does not stop")
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = log.Close()
		if text := s.logged(); s.t.Failed() || dataRaces(text) != "" {
			s.t.Errorf("Caddy's log:\n%s", text)
		}
	})
	hs := s.homeserver()
	until(s.t, "the gateway is alive", func() bool {
		select {
		case <-ended:
			s.t.Fatal("Caddy has stopped")
		default:
		}
		r, err := hs.do(http.MethodGet, s.base()+"/health", "")
		return err == nil && r.Status == http.StatusOK && r.Body == ""
	})
}

func (s *sygnalScene) logged() string { return string(readFile(s.t, s.logFile)) }

func (s *sygnalScene) base() string { return "http://127.0.0.1:" + strconv.Itoa(s.port) }

// homeserver returns a homeserver that reaches Sygnal by its plain address.
func (s *sygnalScene) homeserver() *homeserver {
	return &homeserver{t: s.t, client: s.client(false), url: s.base() + "/_matrix/push/v1/notify"}
}

// in returns the scene for a subtest.
func (s *sygnalScene) in(t *testing.T) *sygnalScene {
	scene := *s
	p := *s.process
	p.t = t
	scene.process = &p
	return &scene
}
