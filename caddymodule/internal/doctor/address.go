package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

const (
	// notifyPath is the path that a pusher's URL must have.
	notifyPath = "/_matrix/push/v1/notify"
	// urlPatience bounds a request to a pusher's URL, and maxURLAnswer the part of the answer that is read.
	urlPatience  = 10 * time.Second
	maxURLAnswer = 64 << 10
	// maxURLs bounds the different URLs that are asked.
	maxURLs = 10
)

// answer is what a pusher's URL answers this machine. Anyone can choose the URL, so the answer is only classified, and never shown.
type answer struct {
	// code is the code of a finding; empty if a gateway answers.
	code string
	// private is the first private address of the host, if it has one.
	private string
	facts   map[string]string
}

// isGateway reports whether a gateway answers. It may refuse requests without TLS.
func (a *answer) isGateway() bool { return a.code == "" || a.code == "plaintext_refused" }

// said describes the answer of another gateway in a sentence.
func (a *answer) said() string {
	if a == nil {
		return "Its URL was not asked."
	}
	if a.isGateway() {
		return "A gateway answers there."
	}
	switch a.code {
	case "name_unknown":
		return "The name has no address."
	case "not_reachable", "certificate_refused":
		return "No gateway answers this machine there: " + a.facts["why"] + "."
	case "answers_with_error":
		return "It answers this machine with status " + a.facts["status"] + "."
	}
	return "No gateway answers there."
}

// target is a pusher's URL.
type target struct {
	*url.URL
	// host is the host, with its port unless that is 443.
	host string
}

// parseTarget reads a pusher's URL. It returns the code of a finding if notifications can't arrive there.
func parseTarget(text string) (target, string) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return target{}, "url_malformed"
	}
	t := target{parsed, parsed.Hostname()}
	if port := parsed.Port(); port != "" && port != "443" || parsed.Scheme == "http" {
		t.host = parsed.Host
	}
	switch {
	case parsed.Path != notifyPath:
		return t, "url_wrong_path"
	case parsed.Scheme == "http":
		return t, "url_not_https"
	}
	return t, ""
}

// ask asks a URL's host once whether a gateway is there. It uses https and the path of gateways, even if the URL does not. It returns nil
// if too many have been asked. It sends no notification, and nothing of the pusher.
func (x *examination) ask(t target) *answer {
	plain := url.URL{Scheme: "https", Host: t.Host, Path: notifyPath}
	key := plain.String()
	if x.answers[key] == nil && len(x.answers) >= maxURLs {
		return nil
	}
	if x.answers[key] == nil {
		ctx, cancel := context.WithTimeout(x.ctx, urlPatience)
		defer cancel()
		a := &answer{facts: map[string]string{"host": t.host}}
		x.resolve(ctx, t, a)
		if a.code == "" {
			x.get(ctx, key, a)
		}
		x.answers[key] = a
	}
	return x.answers[key]
}

// resolve looks up the host, and notes a private address.
func (x *examination) resolve(ctx context.Context, t target, a *answer) {
	addresses := []netip.Addr{}
	if ip, err := netip.ParseAddr(t.Hostname()); err == nil {
		addresses = append(addresses, ip)
	} else if addresses, err = x.Resolve(ctx, t.Hostname()); err != nil {
		var unknown *net.DNSError
		if errors.As(err, &unknown) && unknown.IsNotFound {
			a.code, a.facts["why"] = "name_unknown", "the DNS does not know it"
		}
		return // a proxy may know the name
	}
	for _, ip := range addresses {
		if ip = ip.Unmap(); ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			a.private = ip.String()
			return
		}
	}
}

// get sends a GET, which a gateway answers with its document or with 405.
func (x *examination) get(ctx context.Context, address string, a *answer) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		a.code = "url_malformed"
		return
	}
	request.Header.Set("User-Agent", "caddy-matrix-push")
	response, err := x.Transport.RoundTrip(request) // follows no redirects, as homeservers don't
	if err != nil {
		a.unreachable(err)
		return
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxURLAnswer))
	a.classify(response.StatusCode, body)
}

// unreachable notes why there is no answer.
func (a *answer) unreachable(err error) {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	a.code = "not_reachable"
	switch {
	case errors.As(err, &certificate):
		a.code, a.facts["why"] = "certificate_refused", certificate.Err.Error()
	case errors.As(err, &alert):
		a.code, a.facts["why"] = "certificate_refused", alert.Error()
	case errors.As(err, &record):
		a.facts["why"] = "the answer is not TLS"
	case errors.Is(err, context.DeadlineExceeded):
		a.facts["why"] = fmt.Sprintf("there was no answer within %s", urlPatience)
	default:
		a.facts["why"] = err.Error()
	}
}

// classify notes what an answer means.
func (a *answer) classify(status int, body []byte) {
	var members struct {
		Code        string          `json:"errcode"`
		Gateway     json.RawMessage `json:"gateway"`
		UnifiedPush json.RawMessage `json:"unifiedpush"`
		WebPush     json.RawMessage `json:"webpush"`
	}
	isJSON := json.Unmarshal(body, &members) == nil
	a.facts["status"] = fmt.Sprint(status)
	switch {
	case status == http.StatusMethodNotAllowed:
	case status == http.StatusOK && isJSON && (members.Gateway != nil || members.UnifiedPush != nil || members.WebPush != nil):
	case status == http.StatusNotFound && isJSON && members.Code == "M_UNRECOGNIZED":
		a.code, a.facts["answer"] = "path_not_routed", "404 M_UNRECOGNIZED, probably of a homeserver"
	case status == http.StatusNotFound:
		a.code, a.facts["answer"] = "path_not_routed", "404"
	case status == http.StatusOK && len(bytes.TrimSpace(body)) == 0:
		a.code, a.facts["answer"] = "path_not_routed", "200 with an empty body"
	case status == http.StatusOK:
		a.code, a.facts["answer"] = "path_not_routed", "200 with something that is not a gateway's document"
	case status == http.StatusForbidden && members.Code == "M_FORBIDDEN":
		a.code = "plaintext_refused"
	case status/100 == 3:
		a.code = "url_redirects"
	default:
		a.code = "answers_with_error"
	}
}
