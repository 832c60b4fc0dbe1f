// Package webpushmessage sends a push message to a push server: the common part of the webpush and unifiedpush providers.
package webpushmessage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/internal/optionfile"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// Options are the options of a provider that sends push messages.
type Options struct {
	endpoint.Options

	// A URL or mail address at which push services can reach you (RFC 8292, section 2.1): a `mailto:` or `https:` URL with a public name.
	// Placeholders are allowed. Default: `https://` and the first public name of the sites that mount the app. If there is no such name, a
	// configuration with `webpush` fails to load, and `unifiedpush` sends no subject.
	VapidSubject string `json:"vapid_subject,omitempty"`

	// The file with the VAPID private key (RFC 8292): a P-256 key as PEM, or its 32 bytes as base64url. A subscription works only with the key
	// that it was made for. If you lose the key, all existing subscriptions stop working. Placeholders are allowed. Default: a key that the
	// gateway generates once and keeps in Caddy's storage. All apps without this option share that key.
	VapidKeyFile string `json:"vapid_key_file,omitempty"`
}

// UnmarshalOption reads the option that the dispenser is at, and reports whether it is one of these.
func (o *Options) UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "vapid_subject":
		return true, network.Once(d, &o.VapidSubject)
	case "vapid_key_file":
		return true, network.Once(d, &o.VapidKeyFile)
	}
	return o.Options.UnmarshalOption(d)
}

// Unmarshal reads a provider's name, and a block that has only these options.
func (o *Options) Unmarshal(d *caddyfile.Dispenser) error { return network.Unmarshal(d, o, nil) }

// Sender sends push messages as its options say. It is safe for concurrent use once provisioned.
type Sender struct {
	Now func() time.Time

	ctx     caddy.Context
	client  *endpoint.Client
	subject string
	key     atomic.Pointer[vapid.Key]    // nil until it is known
	signer  atomic.Pointer[vapid.Signer] // nil until the configuration goes live: by then, key and subject are known
	share   *pooled.Share[*vapid.Signer] // of the signer
}

// signers keeps the signers, and with them the tokens they signed, across reloads.
var signers = pooled.NewPool[*vapid.Signer]()

// Provision checks the options, and reads the key if they name a file.
func (s *Sender) Provision(ctx caddy.Context, o *Options) error {
	s.Now, s.ctx = time.Now, ctx
	var err error
	if o.VapidSubject != "" {
		if s.subject, err = caddy.NewReplacer().ReplaceOrErr(o.VapidSubject, true, true); err != nil {
			return fmt.Errorf("vapid_subject: %w", err)
		}
		if err := vapid.ValidateSubject(s.subject); err != nil {
			return fmt.Errorf("vapid_subject: %w", err)
		}
		s.warnOfExample(ctx.Logger())
	}
	if o.VapidKeyFile != "" {
		if err := s.loadKey(o.VapidKeyFile); err != nil {
			return fmt.Errorf("vapid_key_file: %w", err)
		}
	}
	s.client, err = endpoint.NewClient(ctx, &o.Options)
	return err
}

func (s *Sender) loadKey(path string) error {
	path, err := caddy.NewReplacer().ReplaceOrErr(path, true, true)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return optionfile.Hint(path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		s.ctx.Logger().Warn("VAPID key file is readable by other users", zap.String("file", path), zap.Stringer("mode", info.Mode().Perm()))
	}
	data, err := optionfile.Read(path)
	if err != nil {
		return err
	}
	key, err := vapid.Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.key.Store(key)
	return nil
}

// warnOfExample warns of a subject that was copied from documentation.
func (s *Sender) warnOfExample(logger *zap.Logger) {
	if vapid.IsExample(s.subject) {
		logger.Warn("VAPID subject is a placeholder: push services cannot contact you",
			zap.String("vapid_subject", s.subject), zap.String("hint", "set vapid_subject to your own address or URL"))
	}
}

// Mounted uses the first of the hosts for the subject, unless the operator set one, and reports whether there is a subject now.
func (s *Sender) Mounted(hosts []string) (named bool) {
	if s.subject == "" && len(hosts) > 0 {
		s.subject = "https://" + hosts[0]
	}
	return s.subject != ""
}

// keyName is the name in Caddy's storage of the key for all apps without a key file.
const keyName = "default"

// CheckStart returns why Start would fail, as far as that can be seen on this machine.
func (s *Sender) CheckStart(ctx context.Context) error {
	if s.key.Load() != nil {
		return nil
	}
	if err := vapid.CheckStorage(ctx, s.ctx.Storage(), keyName); err != nil {
		return errOfStorage(err)
	}
	return nil
}

func errOfStorage(err error) error { return fmt.Errorf("the VAPID key in Caddy's storage: %w", err) }

// Start makes the key when the configuration goes live, if none was named and none was made before, and its signer.
func (s *Sender) Start(ctx context.Context) error {
	s.client.Start()
	key := s.key.Load()
	if key == nil {
		var err error
		if key, err = vapid.FromStorage(ctx, s.ctx.Storage(), keyName); err != nil {
			return errOfStorage(err)
		}
		s.key.Store(key)
	}
	var err error
	s.share, err = signers.Take(key.PublicKey()+" "+s.subject, func() (*vapid.Signer, error) { return vapid.NewSigner(key, s.subject) })
	if err != nil {
		return fmt.Errorf("vapid_subject: %w", err)
	}
	s.signer.Store(s.share.Value)
	return nil
}

// PublicKey returns the public half of the key; empty until it is known.
func (s *Sender) PublicKey() string {
	if key := s.key.Load(); key != nil {
		return key.PublicKey()
	}
	return ""
}

// Close releases the connections and the tokens. It also works on a partly provisioned Sender.
func (s *Sender) Close() error {
	err := errors.Join(s.client.Close(), s.share.Release())
	s.share = nil
	return err
}
