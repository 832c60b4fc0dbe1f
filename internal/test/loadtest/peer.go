package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// peer is another gateway, which somebody has configured and started. It speaks the notify API, and pushes to the push service of this program.
// The push service runs as long as the program, since the other gateway knows only one.
type peer struct {
	origins []string
	sink    *child
	dialer  *dialer
	process *process
}

// preparePeer starts the push service of another gateway, waits for that gateway and tries it. It returns the options with which it is measured.
// Like another build, the gateway of this program runs a file that no other process runs.
func preparePeer(ctx context.Context, o *options, folder string, out io.Writer) (_ *options, err error) {
	with := *o
	with.peer = new(peer)
	defer func() {
		if err != nil {
			with.peer.close()
		}
	}()
	if err := with.peer.start(ctx, o, out); err != nil {
		return nil, err
	}
	if err := with.peer.listens(ctx, out); err != nil {
		return nil, err
	}
	if with.peer.process, err = o.peerProcess(); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "its process is %d (%s), with those that it started\n", with.peer.process.pid, with.peer.process.name)
	if err := with.peer.try(ctx, &with); err != nil {
		return nil, err
	}
	mine, err := os.Executable()
	if err != nil {
		return nil, err
	}
	with.Against.Program = filepath.Join(folder, "this")
	return &with, copyProgram(with.Against.Program, cmp.Or(o.Against.Program, mine))
}

// start starts the push service, and prints what the other gateway needs.
func (p *peer) start(ctx context.Context, o *options, out io.Writer) error {
	folder, err := peerFolder(o.Files)
	if err != nil {
		return err
	}
	s := newSetup(o)
	s.Listen = o.Listen
	if p.sink, err = s.startSink(ctx, folder); err != nil {
		return err
	}
	p.origins = s.Origins
	if err := errors.Join(writeAccount(folder, s.Origins[0]), s.write(folder)); err != nil {
		return err
	}
	printNeeds(out, o, s, folder)
	// Any authority may have issued its certificate. The one in the folder may be used as well.
	roots, err := x509.SystemCertPool()
	if err != nil {
		return err
	}
	ours, err := os.ReadFile(filepath.Join(folder, caFile))
	if err != nil {
		return err
	}
	roots.AppendCertsFromPEM(ours)
	p.dialer = &dialer{o.URL, net.JoinHostPort(o.URL.Hostname(), portOf(o.URL)), roots}
	return nil
}

// peerFolder returns a folder with keys. It makes them in a new or empty folder, and keeps those of an earlier run, which the other gateway has.
func peerFolder(name string) (string, error) {
	if name == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		name = filepath.Join(cache, "caddy-matrix-push-loadtest", "other-gateway")
	}
	folder, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	switch files, err := os.ReadDir(folder); {
	case err != nil:
		return "", err
	case len(files) == 0:
		return folder, writeKeys(folder)
	}
	if _, err := os.Stat(filepath.Join(folder, setupFile)); err != nil {
		return "", fmt.Errorf("-files: %s has other files than those of this program: name a new folder", folder)
	}
	return folder, nil
}

// printNeeds prints what another gateway needs to push to this program.
func printNeeds(out io.Writer, o *options, s *setup, folder string) {
	file := func(name string) string { return filepath.Join(folder, name) }
	fmt.Fprintf(out, "the other gateway is %s; it needs:\n  app_id: %s\n  certificate authority: %s\n", o.URL, appID, file(caFile))
	switch o.Provider {
	case apns:
		fmt.Fprintf(out, "  APNs: %s instead of https://%s; topic %s, key file %s, key id %s, team id %s\n",
			s.Origins[0], vendorNames[0], topic, file(signingFile), keyID, teamID)
	case fcm:
		fmt.Fprintf(out, "  FCM: %s instead of https://%s; project %s, service account %s\n", s.Origins[0], vendorNames[1], project, file(accountFile))
	case webpush:
		fmt.Fprintf(out, "  Web Push: endpoints at %q; VAPID key %s, contact %s\n", s.Origins, file(signingFile), subject)
	default:
		fmt.Fprintf(out, "  UnifiedPush: endpoints at %q\n", s.Origins)
	}
}

// listens waits until the other gateway listens.
func (p *peer) listens(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errSilent)
	defer cancel()
	for waiting := false; ; waiting = true {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.dialer.address)
		if err == nil {
			return conn.Close()
		}
		if !waiting {
			fmt.Fprintf(out, "waiting for it to listen at %s\n", p.dialer.address)
		}
		if !until(ctx, time.Now().Add(50*time.Millisecond)) {
			return fmt.Errorf("the other gateway does not listen: %w; its files stay, so start it with them and try again: %w", context.Cause(ctx), err)
		}
	}
}

// peerProcess finds the other gateway's process.
func (o *options) peerProcess() (*process, error) {
	const files = procfs("/proc")
	if o.PID > 0 {
		return files.find(o.PID)
	}
	port, err := strconv.Atoi(portOf(o.URL))
	if err != nil {
		return nil, err
	}
	return files.listener(port)
}

// portOf returns the port of a URL.
func portOf(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// try sends the other gateway a first notification. It wants the answer and the push of a gateway that is configured as printed.
func (p *peer) try(ctx context.Context, o *options) (err error) {
	b, err := newBench(ctx, o, o.Gateway)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := p.answers(ctx, b.load.bodies.next(b.load.sent.Add(1))); err != nil {
		return fmt.Errorf("the first notification: %w", err)
	}
	for end := time.Now().Add(o.Latency + quiet); ; {
		r, err := b.received()
		if err != nil || r.Pushes > 0 {
			return err
		}
		if !until(ctx, time.Now().Add(10*time.Millisecond)) || time.Now().After(end) {
			return fmt.Errorf("the first notification was answered with 200, but no push arrived at %s: is that the other gateway's push service?", p.origins[0])
		}
	}
}

// answers sends a notification, and checks the answer. Something that isn't a gateway may answer with 200, too.
func (p *peer) answers(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errSilent)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.dialer.url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.dialer.roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %d instead of 200: the other gateway's log may say why", resp.StatusCode)
	}
	var answer struct {
		Rejected *[]string `json:"rejected"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the answer is 200 without a body, so it is not a gateway's; Caddy answers so for a host name that it has no site for")
	case err != nil || answer.Rejected == nil:
		return errors.New(`the answer is 200, but it has no list "rejected", so it is not a gateway's`)
	case len(*answer.Rejected) > 0:
		return fmt.Errorf("the other gateway rejected the device: does it have an app %s with these keys and this push service?", appID)
	}
	return nil
}

// join makes the bench one of the other gateway. Its notifications are for new events, since the other gateway may remember those of earlier
// measurements.
func (p *peer) join(b *bench) error {
	b.sink, b.dialer = p.sink, p.dialer
	_, ended := p.process.used()
	if err := errors.Join(ended, b.sink.ask(askReceived, &b.base)); err != nil {
		return err
	}
	if err := b.connect(p.origins); err != nil {
		return err
	}
	b.load.sent.Store(time.Now().UnixMicro())
	return nil
}

// close stops the push service. The other gateway keeps running.
func (p *peer) close() {
	if p != nil && p.sink != nil {
		_ = p.sink.stop()
	}
}
