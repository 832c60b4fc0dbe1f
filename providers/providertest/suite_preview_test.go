package providertest_test

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Preview shows the request of Push.
func (p *simple) Preview(push *providers.Push) providers.Preview {
	u, err := url.Parse(push.Device.Pushkey)
	if (err != nil || u.Scheme != "https") && p.flaw != "shows a request for what is unusable" {
		reason := "bad_endpoint"
		if p.flaw == "has another reason in Preview" {
			reason = "bad_pushkey"
		}
		return providers.Previewed(providers.Unusable(reason, errors.New("the endpoint is not an https URL")))
	}
	shown := providers.Request{Method: http.MethodPost, Body: p.plain(push), Encrypted: p.encrypts()}
	if u != nil {
		shown.URL = u.Scheme + "://" + u.Host + "/" + providers.Masked
	}
	switch p.flaw {
	case "shows another body in Preview":
		shown.Body = append(shown.Body, ' ')
	case "shows another URL in Preview":
		shown.URL = "https://lamps.example.org/" + providers.Masked
	case "shows another method in Preview":
		shown.Method = http.MethodPut
	case "shows another header in Preview":
		shown.Header = http.Header{"Lamp": {"on"}}
	case "shows the endpoint in Preview":
		shown.URL = push.Device.Pushkey
	case "shows encryption in Preview":
		shown.Encrypted = true
	case "shows nothing in Preview":
		return providers.Previewed(providers.Dropped("nothing", nil))
	case "modifies the push in Preview":
		push.Device.Pushkey += "/"
	case "asks the network in Preview":
		if answer, err := p.client.Get(push.Device.Pushkey); err == nil {
			_ = answer.Body.Close()
		}
	case "panics in Preview":
		_ = push.Device.Data[0]
	}
	return providers.Preview{Requests: []providers.Request{shown}}
}

// Preview shows the request of Push.
func (p *targeted) Preview(push *providers.Push) providers.Preview {
	return p.simple.Preview(&providers.Push{Notification: push.Notification, Device: &providers.Device{Pushkey: urlIn(push.Device)}})
}
