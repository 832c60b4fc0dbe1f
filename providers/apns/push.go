package apns

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/internal/pushtype"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/collapse"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/posting"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// Reduce keeps only what an alert needs of a notification, cut to fit.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	return reduce(n, p.pushType.MaxPayload)
}

// Push posts the notification to APNs. It does not use apns2's client, which ignores its context while connecting, opens connections
// without limit, loses Retry-After and the status of an answer that is not JSON, and cannot send an expiration of 0. It uses apns2's
// credentials and reasons.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	token, m, o := p.message(push, p.options())
	if m.payload == nil {
		return o
	}
	return p.send(ctx, token, p.header(push, m), m.payload)
}

// Preview returns the request that Push would make.
func (p *Provider) Preview(push *providers.Push) providers.Preview {
	o := p.options()
	o.faults = nil // which report to the log
	_, m, outcome := p.message(push, o)
	if m.payload == nil {
		return providers.Previewed(outcome)
	}
	preview := p.client.Preview(devicePath+providers.Masked, p.header(push, m), m.payload)
	whole, _ := build(push.Notification, push.Device, o, math.MaxInt)
	preview.Requests[0].Whole = whole.payload
	return preview
}

// message returns the device token and the message for it, or the outcome if there is none to send.
func (p *Provider) message(push *providers.Push, options options) (token string, m message, o providers.Outcome) {
	token, err := deviceToken(push.Device.Pushkey)
	if err != nil {
		return "", message{}, providers.Unusable(undecodable, err)
	}
	m, err = build(push.Notification, push.Device, options, p.pushType.MaxPayload)
	switch {
	case errors.Is(err, errNothing):
		o = providers.Dropped(nothingToDo, nil)
	case errors.Is(err, errUnsuited):
		o = providers.Dropped(notForPushType, err)
	case err != nil:
		o = providers.Dropped("payload_too_large", err)
	}
	return token, m, o
}

// options returns the operator's choices.
func (p *Provider) options() options {
	return options{threadRoom: p.ThreadID == "room", faults: p.faults, known: p.known, pushType: p.pushType.Name, now: time.Now()}
}

// send makes the request with the credential. It tries once more with a fresh provider token if APNs finds that one expired, or on a new
// connection if APNs knows the connection by another key.
func (p *Provider) send(ctx context.Context, token string, header http.Header, body []byte) providers.Outcome {
	bearer, err := p.credential.bearer()
	if err != nil {
		return providers.Misconfigured("credential", err)
	}
	began := time.Now()
	a, err := p.post(ctx, token, bearer, header, body)
	switch {
	case err != nil:
		return failed(err)
	case a.reason == apns2.ReasonExpiredProviderToken:
		if bearer, err = p.credential.renewed(bearer); err != nil || bearer == "" {
			return a.outcome()
		}
	case a.reason == unrelatedKey && p.renewal.since(began, p.client.Renew): // once more, on a new connection
	default:
		return a.outcome()
	}
	if a, err = p.post(ctx, token, bearer, header, body); err != nil {
		return failed(err)
	}
	return a.outcome()
}

var (
	contentType = []string{"application/json"}
	userAgent   = []string{"caddy-matrix-push"}
)

// header returns the headers of the push, except the provider token,
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns.
func (p *Provider) header(push *providers.Push, m message) http.Header {
	pushType := p.pushType
	if m.background && pushType.Name == pushtype.Alert {
		pushType, _ = pushtype.Named(pushtype.Background)
	}
	priority, expiration := apns2.PriorityHigh, push.Expires.Unix()
	if push.Notification.Prio == providers.PrioLow {
		priority = apns2.PriorityLow
	}
	if pushType.Priority != 0 {
		priority = pushType.Priority
	}
	if pushType.Once {
		expiration = 0
	}
	header := http.Header{
		"Apns-Topic":      {p.topic},
		"Apns-Push-Type":  {pushType.Name},
		"Apns-Priority":   {strconv.Itoa(priority)},
		"Apns-Expiration": {strconv.FormatInt(expiration, 10)},
		"Apns-Id":         {push.ID},
		"Content-Type":    contentType,
		"User-Agent":      userAgent,
	}
	if id := p.collapseID(push); id != "" {
		header["Apns-Collapse-Id"] = []string{id}
	}
	return header
}

// collapseID is the same for pushes of which only the last is shown; empty for a push that replaces no other.
func (p *Provider) collapseID(push *providers.Push) string {
	switch n := push.Notification; {
	case p.CollapseID == "room" && n.RoomID != "":
		return collapse.Topic(n.RoomID, push.Device)
	case p.CollapseID == "event" && n.EventID != "":
		return collapse.Topic(n.EventID, push.Device)
	}
	return ""
}

// devicePath is the path of a request, before the device token.
const devicePath = "/3/device/"

// post makes one request.
func (p *Provider) post(ctx context.Context, token, bearer string, header http.Header, body []byte) (answer, error) {
	if bearer != "" {
		header["Authorization"] = []string{"bearer " + bearer}
	}
	resp, err := p.client.RoundTrip(posting.New(ctx, p.client.URL(devicePath+token), header, body))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	if a.status != http.StatusOK {
		a.retryAfter = network.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			return answer{}, err // half an answer would look like one from a proxy
		}
		a.read(bytes.NewReader(body))
	}
	return a, nil
}
