package apns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/network"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/payload"
)

// Reduce leaves what an alert has of a notification, cut to what fits.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	return reduce(n, p.maxPayload)
}

// Push posts the notification to APNs. The one call is not apns2's: that one ignores its context while it connects, opens connections
// without bound, loses Retry-After and the status of an answer that is not JSON, and cannot send an expiration of 0. Its
// credentials and reasons are used.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	token, err := deviceToken(push.Device.Pushkey)
	if err != nil {
		return providers.Unusable(undecodable, err)
	}
	m, err := build(push.Notification, push.Device, options{threadRoom: p.ThreadID == "room", faults: p.faults}, p.maxPayload)
	switch {
	case errors.Is(err, errNothing):
		return providers.Dropped("nothing_to_do", nil)
	case err != nil:
		return providers.Dropped("payload_too_large", err)
	}
	return p.send(ctx, token, p.header(push, m), m.payload)
}

// send makes the request with the credential, and once more with a fresh provider token if APNs finds that one expired.
func (p *Provider) send(ctx context.Context, token string, header http.Header, body []byte) providers.Outcome {
	bearer, err := p.credential.bearer()
	if err != nil {
		return providers.Misconfigured("credential", err)
	}
	a, err := p.post(ctx, token, bearer, header, body)
	if err == nil && a.reason == apns2.ReasonExpiredProviderToken {
		if bearer, err = p.credential.renewed(bearer); err == nil && bearer != "" {
			a, err = p.post(ctx, token, bearer, header, body)
		}
	}
	if err != nil {
		return failed(err)
	}
	return a.outcome()
}

var (
	contentType = []string{"application/json"}
	userAgent   = []string{"caddy-matrix-push"}
)

// header are the headers of the push, but for the provider token,
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns.
func (p *Provider) header(push *providers.Push, m message) http.Header {
	pushType := p.PushType
	switch {
	case m.background && (pushType == "" || pushType == string(apns2.PushTypeAlert)):
		pushType = string(apns2.PushTypeBackground)
	case pushType == "":
		pushType = string(apns2.PushTypeAlert)
	}
	priority := apns2.PriorityHigh
	if pushType == string(apns2.PushTypeBackground) || push.Notification.Prio == providers.PrioLow {
		priority = apns2.PriorityLow
	}
	header := http.Header{
		"Apns-Topic":      {p.topic},
		"Apns-Push-Type":  {pushType},
		"Apns-Priority":   {strconv.Itoa(priority)},
		"Apns-Expiration": {strconv.FormatInt(push.Expires.Unix(), 10)},
		"Apns-Id":         {push.ID},
		"Content-Type":    contentType,
		"User-Agent":      userAgent,
	}
	if id := p.collapseID(push); id != "" {
		header["Apns-Collapse-Id"] = []string{id}
	}
	return header
}

// collapseID is the same for pushes of which only the last is shown; empty for a push that stands for itself.
func (p *Provider) collapseID(push *providers.Push) string {
	switch n := push.Notification; {
	case p.CollapseID == "room" && n.RoomID != "":
		return payload.Topic(n.RoomID, push.Device)
	case p.CollapseID == "event" && n.EventID != "":
		return payload.Topic(n.EventID, push.Device)
	}
	return ""
}

// maxAnswer is how much of an answer is read: a reason and a timestamp are far less.
const maxAnswer = 4 << 10

// post makes one request.
func (p *Provider) post(ctx context.Context, token, bearer string, header http.Header, body []byte) (answer, error) {
	req := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: p.server.Host, Path: "/3/device/" + token},
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(ctx)
	if bearer != "" {
		header["Authorization"] = []string{"bearer " + bearer}
	}
	resp, err := p.client.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	if a.status != http.StatusOK {
		a.retryAfter = network.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
		a.read(resp.Body)
	}
	return a, nil
}

// read takes reason and timestamp out of an answer's body. Whatever else stands there did not come from APNs.
func (a *answer) read(body io.Reader) {
	var said struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"` // in milliseconds
	}
	data, _ := io.ReadAll(io.LimitReader(body, maxAnswer))
	if json.Unmarshal(data, &said) != nil {
		return
	}
	a.reason = said.Reason
	if said.Timestamp > 0 {
		a.timestamp = time.UnixMilli(said.Timestamp)
	}
}

// failed classifies a request that got no answer. APNs refuses a bad certificate by ending the connection.
func failed(err error) providers.Outcome {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return providers.Misconfigured("certificate_refused", op.Err)
	}
	return network.Failed(err)
}
