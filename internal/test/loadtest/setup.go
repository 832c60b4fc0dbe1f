package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// What can be measured: a provider, or the answer for a pushkey on record as dead.
const (
	apns        = "apns"
	fcm         = "fcm"
	unifiedpush = "unifiedpush"
	webpush     = "webpush"
	rejected    = "rejected"
)

var providerNames = []string{apns, fcm, unifiedpush, webpush, rejected}

const (
	appID  = "org.example.load"
	topic  = "org.example.load"
	keyID  = "ABC123DEFG"
	teamID = "TEAM123456"
	// subject is the operator's contact for push services.
	subject = "mailto:ops@example.org"
)

// accessToken is as long as Google's tokens.
var accessToken = "ya29.c." + strings.Repeat("loadtest", 16)

// setup is what the servers of a run need to know.
type setup struct {
	Provider string
	Hosts    int
	Latency  time.Duration
	Errors   float64
	// Listen is the first port of the push service. Each host has the next one. 0 means any free ports.
	Listen int
	// RecordsFile is the existing rejected store, if there is one.
	RecordsFile string
	// Origins are the origins of the push service, once it listens.
	Origins []string
	// XMPPServer is the address where the XMPP server accepts the gateway as a component, if there is one.
	XMPPServer string
}

// newSetup returns the setup for the options, before the push service listens.
func newSetup(o *options) *setup {
	s := &setup{Provider: o.Provider, Hosts: 1, Latency: o.Latency, Errors: o.Errors, RecordsFile: o.RecordsFile}
	if o.Provider == unifiedpush || o.Provider == webpush {
		s.Hosts = o.Hosts
	}
	return s
}

// startSink starts the push service in a folder with keys, and learns its origins.
func (s *setup) startSink(ctx context.Context, dir string) (*child, error) {
	if err := s.write(dir); err != nil {
		return nil, err
	}
	return start(ctx, roleSink, dir, variant{}, &s.Origins)
}

func (s *setup) read(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, setupFile))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, s)
}

func (s *setup) write(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, setupFile), text, 0o600)
}

// Both sides have the same Caddy. The gateway has an operator's defaults, with two exceptions: no fuse, which would trip because all pushkeys are
// dead, and badge updates for browsers. A component has no limit for the rate of the one domain that sends to it.
var caddyfile = template.Must(template.New("").Parse(`{
	admin off
	persist_config off
	auto_https disable_redirects
	grace_period 1s
	storage file_system {{.Dir}}/storage
{{- if not .Floor}}
	matrix_push {
		app {{.AppID}} {
{{- if or (eq .Provider "apns") (eq .Provider "rejected")}}
			apns {
				topic {{.Topic}}
				key_file {{.Dir}}/{{.SigningFile}}
				key_id {{.KeyID}}
				team_id {{.TeamID}}
				endpoint {{.Origin}}
{{- else if eq .Provider "fcm"}}
			fcm {
				credentials_file {{.Dir}}/{{.AccountFile}}
				endpoint {{.Origin}}
{{- else}}
			{{.Provider}} {
				vapid_subject {{.Subject}}
				vapid_key_file {{.Dir}}/{{.SigningFile}}
				allow_private 127.0.0.0/8
{{- end}}
				trusted_ca {{.Dir}}/{{.CAFile}}
				proxy none
			}
{{- if eq .Provider "webpush"}}
			badges on
{{- end}}
{{- if .Content}}
			content {{.Content}}
{{- end}}
			wait {{.Wait}}
		}
		rejected file {{or .RecordsFile (print .Dir "/rejected.db")}}
		outbox {{.Outbox}}{{if eq .Outbox "file"}} {{.Dir}}/outbox{{end}}
		fuse off
	}
{{- end}}
{{- if .XMPP}}
	xmpp_push {
		component {{.Domain}} {
			server {{.XMPPServer}}
			secret {{.Secret}}
			app {{.AppID}} {
				default
			}
			rate 1000000/s
		}
	}
{{- end}}
}
{{.Address}} {
	bind 127.0.0.1
{{- if not .Plain}}
	tls {{.Dir}}/{{.CertificateFile}} {{.Dir}}/{{.KeyFile}}
{{- end}}
{{- if .Floor}}
	loadtest_floor * {{.Dir}}
{{- else}}
	matrix_push {
{{- if .Plain}}
		plaintext allow
{{- end}}
	}
{{- end}}
}
`))

// at returns the address of a server's site.
func (v variant) at(port int) string {
	scheme := "https"
	if v.Plain {
		scheme = "http"
	}
	return scheme + "://" + net.JoinHostPort(site, strconv.Itoa(port))
}

// writeConfig writes the configuration of a server under test.
func (s *setup) writeConfig(dir string, v variant, port int) error {
	var text strings.Builder
	err := caddyfile.Execute(&text, struct {
		setup
		variant
		Dir, AppID, Topic, KeyID, TeamID, Subject, Address, Origin string
		Domain, Secret                                             string // of the component
		SigningFile, AccountFile, CAFile, CertificateFile, KeyFile string
	}{
		*s, v, dir, appID, topic, keyID, teamID, subject, v.at(port), s.Origins[0],
		componentDomain, componentSecret,
		signingFile, accountFile, caFile, certificateFile, keyFile,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, configFile), []byte(text.String()), 0o600)
}
