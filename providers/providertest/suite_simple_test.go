package providertest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// simple is the simplest possible provider, with an optional flaw that breaks a rule.
type simple struct {
	client *http.Client
	flaw   string
	names  sync.Map // of rooms, by their ids
}

// message returns the body of a request.
func (p *simple) message(push *providers.Push) []byte {
	message := p.plain(push)
	if p.encrypts() {
		message = encrypted(message)
	}
	return message
}

func (p *simple) encrypts() bool {
	return p.flaw == "is encrypted" || p.flaw == "is encrypted, and nobody decrypts"
}

// plain returns what the device reads.
func (p *simple) plain(push *providers.Push) []byte {
	n := push.Notification
	members := map[string]any{"priority": n.Prio.String()}
	if n.EventID != "" {
		members["event"], members["text"] = n.EventID, "New message"
	}
	if n.RoomName != "" {
		members["room"] = n.RoomName
	}
	if n.Counts.Unread != nil {
		members["unread"] = *n.Counts.Unread
	}
	if name, ok := p.names.Load(n.RoomID); ok && n.RoomID != "" {
		switch p.flaw {
		case "remembers names":
			members["room"] = name
		case "remembers names in base64":
			members["extra"] = base64.StdEncoding.EncodeToString([]byte(`{"a":"` + name.(string) + `"}`))
		}
	}
	if n.RoomName != "" {
		p.names.Store(n.RoomID, n.RoomName)
	}
	switch p.flaw {
	case "rings for a badge":
		members["text"] = "New message"
	case "rings for a badge of zero":
		if n.Counts.Unread != nil && *n.Counts.Unread == 0 {
			members["text"] = "All read"
		}
	case "sends the device's data":
		members["device"] = push.Device.Data
	case "sends the tweaks":
		members["tweaks"] = push.Device.Tweaks
	case "panics without a content":
		_ = n.Content[0]
	}
	message, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return message
}

// encrypted makes a message unreadable, and decrypted readable again.
func encrypted(message []byte) []byte {
	unreadable := []byte{0xff}
	for _, c := range message {
		unreadable = append(unreadable, ^c)
	}
	return unreadable
}

func decrypted(message []byte) ([]byte, error) {
	if len(message) == 0 || message[0] != 0xff {
		return nil, errors.New("it is not encrypted")
	}
	return encrypted(message[1:])[1:], nil
}

// rings reports whether a message has a text to show.
func rings(_ *http.Request, body []byte) bool { return bytes.Contains(body, []byte(`"text":`)) }

// Usable requires an https URL.
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

// targeted is a simple provider whose pushes go where a device's data point.
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
	if u, err := url.Parse(push.Device.Pushkey); (err != nil || u.Scheme != "https") && !strings.Contains(p.flaw, "sends what is unusable") {
		reason := "bad_endpoint"
		if p.flaw == "has two reasons" {
			reason = "bad_pushkey"
		}
		return providers.Unusable(reason, errors.New("the endpoint is not an https URL"))
	}
	switch p.flaw {
	case "sends what is unusable", "has no Usable, and sends what is unusable":
		push = &providers.Push{Notification: push.Notification, Device: &providers.Device{
			Pushkey: strings.Replace(push.Device.Pushkey, "http:", "https:", 1),
		}}
	case "never returns":
		select {}
	case "panics":
		panic("the provider is broken")
	case "ignores its context":
		ctx = context.WithoutCancel(ctx)
	case "modifies the push":
		push.Device.Pushkey += "/"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, push.Device.Pushkey, bytes.NewReader(p.message(push)))
	if err != nil {
		return providers.Unusable("bad_endpoint", errors.New("the endpoint is not a URL"))
	}
	if p.flaw == "hides a header in Preview" {
		r.Header.Set("Lamp", "on")
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
	o := p.classify(answer, text.String())
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

func (p *simple) classify(answer *http.Response, text string) providers.Outcome {
	var detail error
	if text != "" {
		detail = errors.New(text)
	}
	switch status := answer.StatusCode; {
	case status < 300:
		return providers.Delivered()
	case p.flaw == "rejects for a "+strconv.Itoa(status):
		return providers.Rejected("refused")
	case p.flaw == "suspects for a "+strconv.Itoa(status):
		return providers.Suspected("refused")
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
