package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

func TestAWrongCredentialDoesNotLoadAndTheOldConfigurationServes(t *testing.T) {
	t.Parallel()
	good, asked, ca := newApple(t), newApple(t), apnstest.NewAuthority(t)
	fcm, askedFCM := newGoogle(t), newGoogle(t)
	working := stateless + good.app("org.example.ios", "", "") + fcm.app("org.example.android", "", "")
	gateway := startGateway(t, working, "matrix_push")
	hs := gateway.homeserver()

	file := func(name string, content ...[]byte) string {
		var all []byte
		for _, c := range content {
			all = append(all, c...)
		}
		return writeSecret(t, name, all)
	}
	garbage := file("garbage", []byte(secretMark))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	next := time.Now().AddDate(1, 0, 0)
	cert, certKey := ca.Certificate(t, []string{bundleID}, []string{"production"}, next)
	sandboxCert, sandboxKey := ca.Certificate(t, []string{bundleID}, []string{"sandbox"}, next)
	_, otherKey := ca.Certificate(t, []string{bundleID}, []string{"production"}, next)
	ids := "\nkey_id " + appleKeyID + "\nteam_id " + appleTeamID
	key, topic := "key_file "+asked.keyFile, "\ntopic "+bundleID
	account := string(readFile(t, askedFCM.account))
	user := askedFCM.AuthorizedUser(t)
	changed := func(old, replacement string) string {
		if !strings.Contains(account, old) {
			t.Fatalf("there is no %s", old)
		}
		return "credentials_file " + file("account.json", []byte(strings.Replace(account, old, replacement, 1)))
	}
	for _, tt := range []struct{ name, provider, options, reason string }{
		{"no credential", "apns", topic, "key_file is missing: set it, or certificate_file"},
		{"a key that is not there", "apns", "key_file " + garbage + ".p8" + ids + topic, "key_file: open " + garbage + ".p8: no such file"},
		{"a file that is not a key", "apns", "key_file " + garbage + ids + topic, "key_file: the file is not PEM"},
		{"a key that is cut off", "apns", "key_file " + file("cut.p8", []byte("-----BEGIN PRIVATE KEY-----\nTUlHSEFnRUE=\n-----END PRIVATE KEY-----\n")) + ids + topic, "key_file: the PEM block contains no readable PKCS#8 private key"},
		{"a key for RSA", "apns", "key_file " + file("rsa.p8", pemOf(t, rsaKey)) + ids + topic, "key_file: the key is not an ECDSA key on the curve P-256"},
		{"a key on another curve", "apns", "key_file " + file("p384.p8", pemOf(t, p384)) + ids + topic, "key_file: the key is not an ECDSA key on the curve P-256"},
		{"no key_id", "apns", key + "\nteam_id " + appleTeamID + topic, "key_id is missing"},
		{"no team_id", "apns", key + "\nkey_id " + appleKeyID + topic, "team_id is missing"},
		{"an invalid key_id", "apns", key + "\nkey_id AuthKey\nteam_id " + appleTeamID + topic, "key_id: \"AuthKey\" is not 10 capital letters and digits"},
		{"a team_id that is a name", "apns", key + "\nkey_id " + appleKeyID + "\nteam_id \"Example Ltd\"" + topic, "team_id: \"Example Ltd\" is not"},
		{"a placeholder for nothing", "apns", key + "\nkey_id {env.CADDY_MATRIX_PUSH_E2E_NOTHING}\nteam_id " + appleTeamID + topic, "key_id: "},
		{"no topic", "apns", key + ids, "topic is missing"},
		{"an invalid topic", "apns", key + ids + "\ntopic \"My App\"", "topic: \"My App\" is not a bundle ID"},
		{"a topic that is not for calls", "apns", key + ids + topic + "\npush_type voip", "topic: \"" + bundleID + "\" does not end with .voip"},
		{"another environment", "apns", key + ids + topic + "\nenvironment staging", "environment: \"staging\""},
		{"another push type", "apns", key + ids + topic + "\npush_type banner", "push_type: \"banner\""},
		{"another collapse_id", "apns", key + ids + topic + "\ncollapse_id sender", "collapse_id: \"sender\""},
		{"both credentials", "apns", key + ids + topic + "\ncertificate_file " + file("both.pem", cert, certKey), "certificate_file cannot be combined with key_file"},
		{"a file that is not a certificate", "apns", "certificate_file " + garbage, "certificate_file: the file is neither PEM nor PKCS#12"},
		{"a password of nothing", "apns", "certificate_file " + garbage + "\ncertificate_password " + secretMark, "certificate_file: "},
		{"a certificate without its key", "apns", "certificate_file " + file("cert.pem", cert), "certificate_file: the PEM contains no private key"},
		{"a certificate with the key of another", "apns", "certificate_file " + file("cert.pem", cert) + " " + file("key.pem", otherKey), "certificate_file: the private key does not belong to the certificate"},
		{"a key without its certificate", "apns", "certificate_file " + file("key.pem", certKey), "certificate_file: the PEM contains no certificate"},
		{"a certificate for the sandbox", "apns", "certificate_file " + file("sandbox.pem", sandboxCert, sandboxKey), "certificate_file: the certificate is not for the production environment"},
		{"a topic that is not the certificate's", "apns", "topic org.example.other\ncertificate_file " + file("both.pem", cert, certKey), "topic: \"org.example.other\" is not one of the certificate's topics"},
		{"credentials that are not there", "fcm", "credentials_file " + garbage + ".json", "credentials_file: open " + garbage + ".json: no such file"},
		{"a file that is not credentials", "fcm", "credentials_file " + garbage, "credentials_file: the file is not JSON"},
		{"the app's own file", "fcm", "credentials_file " + file("google-services.json", []byte(`{"project_info":{"project_id":"x"}}`)), "credentials_file: type is missing"},
		{"credentials of another kind", "fcm", changed(`"service_account"`, `"password"`), "credentials_file: type: \"password\""},
		{"credentials without a key", "fcm", changed(`"private_key"`, `"privat_key"`), "credentials_file: private_key is missing"},
		{"credentials with a broken key", "fcm", changed("BEGIN PRIVATE KEY", "BEGIN "+secretMark), "credentials_file: private_key: not PEM"},
		{"credentials without an endpoint", "fcm", changed(`"token_uri"`, `"uri"`), "credentials_file: token_uri is missing"},
		{"no project", "fcm", "credentials_file " + user, "project_id: missing"},
		{"a member that FCM does not know", "fcm", "credentials_file " + askedFCM.account + "\nnotification `{\"titel\": \"x\"}`", "notification.titel: FCM's v1 API has no such member; did you mean title?"},
		{"data in place of the notification's", "fcm", "credentials_file " + askedFCM.account + "\nandroid `{\"data\": {\"a\": \"b\"}}`", "android.data: it would take the place of the notification's data"},
	} {
		wrong := asked.appWith("org.example.bad", tt.options, "")
		if tt.provider == "fcm" {
			wrong = askedFCM.app("org.example.bad", tt.options, "")
		}
		err := gateway.load(gatewayConfig(working+wrong, "matrix_push"))
		switch {
		case err == nil:
			t.Fatalf("%s: the configuration loads", tt.name)
		case !strings.Contains(err.Error(), strings.ReplaceAll(tt.reason, `"`, `\"`)) || !strings.Contains(err.Error(), `org.example.bad`):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.reason)
		case strings.Contains(err.Error(), secretMark):
			t.Errorf("%s: it shows what it read: %v", tt.name, err)
		}
		d, a := iPhone(tt.name), android(tt.name)
		if wantBody(t, hs.notify(alert("$1", d, a)), nothingRejected); t.Failed() {
			t.Fatalf("%s: the old configuration", tt.name)
		}
		good.taken(t, d.path(), 1)
	}
	if n := asked.Connections() + askedFCM.Connections(); n != 0 {
		t.Errorf("%d connections were made while loading", n)
	}
	if strings.Contains(gateway.log.String(), secretMark) {
		t.Error("the log shows what was read")
	}
	// Without the mistakes, the configuration loads.
	right := asked.app("org.example.bad", "", "") + askedFCM.app("org.example.bad.too", "", "")
	if err := gateway.load(gatewayConfig(working+right, "matrix_push")); err != nil {
		t.Error(err)
	}
}

const (
	replaced    = `"msg":"credential file changed; the new credential is in use","files":["`
	notReplaced = `"msg":"new credential cannot be used; the old one stays in use","files":["`
)

func TestCredentialsFollowTheirFilesWithoutAReload(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	a := newApple(t, func(o *apnstest.Options) { o.Authority = ca })
	a.expected = "the provider token is wrong" // until the key is replaced
	g := newGoogle(t)
	_, otherP8 := apnstest.NewKey(t)
	certificate := func(end time.Time) []byte {
		cert, key := ca.Certificate(t, []string{bundleID}, []string{"production", "sandbox"}, end)
		return append(cert, key...)
	}
	now := time.Now()
	first, second := readFile(t, g.account), readFile(t, g.ServiceAccount(t))
	rightKey := readFile(t, a.keyFile)
	files := map[string]string{
		"key":            writeSecret(t, "key.p8", otherP8),
		"key broken":     writeSecret(t, "broken.p8", rightKey),
		"cert":           writeSecret(t, "cert.pem", certificate(now.Add(-time.Hour))),
		"cert renewed":   writeSecret(t, "renewed.pem", certificate(now.AddDate(0, 0, 3))),
		"cert broken":    writeSecret(t, "broken.pem", certificate(now.AddDate(1, 0, 0))),
		"account":        writeSecret(t, "account.json", first),
		"account broken": writeSecret(t, "broken.json", first),
	}
	keyed := func(file string) string {
		return "topic " + bundleID + "\nkey_id " + appleKeyID + "\nteam_id " + appleTeamID + "\nkey_file " + file
	}
	gateway := startGateway(t, stateless+
		a.appWith("org.example.key", keyed(files["key"]), "")+
		a.appWith("org.example.key.broken", keyed(files["key broken"]), "")+
		a.appWith("org.example.cert", "certificate_file "+files["cert"], "")+
		a.appWith("org.example.cert.renewed", "certificate_file "+files["cert renewed"], "")+
		a.appWith("org.example.cert.broken", "certificate_file "+files["cert broken"], "")+
		g.app("org.example.account", "credentials_file "+files["account"], "")+
		g.app("org.example.account.broken", "credentials_file "+files["account broken"], ""), "matrix_push")
	hs := gateway.homeserver()
	apple := func(appID string) device { return iPhoneOf("org.example."+appID, appID) }

	// Before the replacement.
	wantMisconfigured(t, hs.notify(badge(1, apple("key"))))
	wantMisconfigured(t, hs.notify(badge(1, apple("cert"))))
	for _, d := range []device{
		apple("key.broken"), apple("cert.renewed"), apple("cert.broken"),
		androidOf("org.example.account", "1"), androidOf("org.example.account.broken", "2"),
	} {
		wantBody(t, hs.notify(badge(1, d)), nothingRejected)
	}
	oldConnection := a.taken(t, apple("cert.renewed").path(), 1)[0].Connection

	replaceFile(t, files["key"], rightKey)
	replaceFile(t, files["key broken"], []byte(secretMark))
	replaceFile(t, files["cert"], certificate(now.AddDate(1, 0, 0)))
	replaceFile(t, files["cert renewed"], certificate(now.AddDate(1, 0, 0)))
	replaceFile(t, files["cert broken"], certificate(now.AddDate(1, 0, 0))[:400])
	replaceFile(t, files["account"], second)
	replaceFile(t, files["account broken"], []byte(secretMark+"{"))

	delivered := func(d device) func() bool {
		return func() bool {
			r := hs.notify(badge(2, d))
			if r.Status == 200 {
				wantBody(t, r, nothingRejected)
				return true
			}
			wantLater(t, r)
			return false
		}
	}
	until(t, "the right key", delivered(apple("key")))
	until(t, "the new certificate", delivered(apple("cert")))
	until(t, "another connection for another certificate", func() bool {
		wantBody(t, hs.notify(badge(2, apple("cert.renewed"))), nothingRejected)
		pushes := a.Pushes()
		last := pushes[len(pushes)-1]
		return last.Token == apple("cert.renewed").path() && last.Connection != oldConnection
	})
	d := androidOf("org.example.account", "1")
	until(t, "the new account", func() bool {
		wantBody(t, hs.notify(badge(2, d)), nothingRejected)
		return strings.Contains(gateway.log.String(), replaced+files["account"])
	})
	for app, d := range map[string]device{
		"key broken": apple("key.broken"), "cert broken": apple("cert.broken"), "account broken": androidOf("org.example.account.broken", "2"),
	} {
		until(t, app, func() bool {
			wantBody(t, hs.notify(badge(2, d)), nothingRejected)
			return strings.Contains(gateway.log.String(), notReplaced+files[app])
		})
		wantBody(t, hs.notify(badge(3, d)), nothingRejected)
	}
	// The replaced key is deleted at Google, with everything that was fetched with it.
	g.Forget(g.account)
	g.Expire()
	wantBody(t, hs.notify(badge(3, d)), nothingRejected)

	log := gateway.log.String()
	for name, file := range files {
		good, bad := strings.Count(log, replaced+file), strings.Count(log, notReplaced+file)
		if broken := strings.HasSuffix(name, "broken"); (good == 0) != broken || (bad == 0) == broken || good+bad != 1 {
			t.Errorf("%s: taken over %d times, refused %d times", name, good, bad)
		}
	}
	if strings.Contains(log, secretMark) {
		t.Error("the log shows what was read")
	}
	if a.ProviderTokens() != 1 {
		t.Errorf("there were %d provider tokens", a.ProviderTokens())
	}
}

func TestAnExpiredCertificateLoadsAndRejectsNobody(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	a := newApple(t, func(o *apnstest.Options) { o.Authority = ca })
	certified := func(appID string, end time.Time) string {
		cert, key := ca.Certificate(t, []string{bundleID}, []string{"production"}, end)
		return a.appWith(appID, "certificate_file "+writeSecret(t, "cert.pem", cert)+" "+writeSecret(t, "key.pem", key), "")
	}
	now := time.Now()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(stateless), "matrix_push")
	if err := gateway.load(gatewayConfig(service.global(stateless+
		certified("org.example.expired", now.Add(-time.Hour))+
		certified("org.example.soon", now.AddDate(0, 0, 29))+
		certified("org.example.fine", now.AddDate(0, 0, 31))+
		a.app("org.example.keyed", "", "")), "matrix_push")); err != nil {
		t.Fatal(err)
	}
	gateway.wantLogged(`"msg":"credential has expired","app":"org.example.expired"`)
	gateway.wantLogged(`"msg":"credential expires soon","app":"org.example.soon"`)

	hs := gateway.homeserver()
	expired := iPhoneOf("org.example.expired", "phone")
	for i := range 25 { // so it is not one device's bad luck
		d := iPhoneOf("org.example.expired", string(rune('a'+i)))
		wantMisconfigured(t, hs.notify(alert("$1", d, expired)))
	}
	if n := len(a.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	gateway.wantLogged(`"reason":"credential"`)
	for _, appID := range []string{"org.example.soon", "org.example.fine", "org.example.keyed"} {
		d := iPhoneOf(appID, appID)
		wantBody(t, hs.notify(alert("$1", d, upDevice(service.Endpoint(appID)))), nothingRejected)
		a.taken(t, d.path(), 1)
	}
	if n := a.Connections(); n != 3 { // one for each credential except the expired one
		t.Errorf("%d connections were made", n)
	}
	for _, line := range strings.Split(gateway.log.String(), "\n") {
		if strings.Contains(line, "the credential ") && !strings.Contains(line, "org.example.expired") && !strings.Contains(line, "org.example.soon") {
			t.Errorf("the log says %s", line)
		}
	}
}

func TestACertificateInPKCS12OrPEMServes(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	a := newApple(t, func(o *apnstest.Options) {
		o.Authority = ca
		o.Keys = nil // only the certificate gives access
	})
	cert, key := ca.Certificate(t, []string{bundleID, bundleID + ".voip"}, []string{"production"}, time.Now().AddDate(1, 0, 0))
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	keychain, err := pkcs12.LegacyDES.Encode(pair.PrivateKey, pair.Leaf, nil, "password")
	if err != nil {
		t.Fatal(err)
	}
	openssl, err := pkcs12.Modern.Encode(pair.PrivateKey, pair.Leaf, nil, "password")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"both.pem": slices.Concat(cert, key), "cert.pem": cert, "key.pem": key, "keychain.p12": keychain, "openssl.p12": openssl,
		"password": []byte("password\n"),
	} {
		replaceFile(t, filepath.Join(dir, name), content)
	}
	gateway := startGateway(t, stateless+
		a.appWith("org.example.both", "certificate_file "+dir+"/both.pem", "")+
		a.appWith("org.example.two", "certificate_file "+dir+"/cert.pem "+dir+"/key.pem", "")+
		a.appWith("org.example.keychain", "certificate_file "+dir+"/keychain.p12\ncertificate_password password", "")+
		a.appWith("org.example.openssl", "certificate_file "+dir+"/openssl.p12\ncertificate_password {file."+dir+"/password}", "")+
		a.appWith("org.example.voip", "push_type voip\ncertificate_file "+dir+"/both.pem", ""), "matrix_push")
	hs := gateway.homeserver()
	for appID, topic := range map[string]string{
		"both": bundleID, "two": bundleID, "keychain": bundleID, "openssl": bundleID, "voip": bundleID + ".voip",
	} {
		d := iPhoneOf("org.example."+appID, appID)
		wantBody(t, hs.notify(alert("$1", d)), nothingRejected)
		p := a.taken(t, d.path(), 1)[0]
		if p.Topic != topic || p.Header.Get("Authorization") != "" {
			t.Errorf("%s: the push is for %s, authorized %q", appID, p.Topic, p.Header.Get("Authorization"))
		}
	}
	if n := a.Connections(); n != 1 {
		t.Errorf("one certificate took %d connections", n)
	}
}
