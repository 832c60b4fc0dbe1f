package webpushmessage

import (
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

// Preview returns the requests that [Sender.Send] would make. The argument whole is the body as it would be without any limit.
func (s *Sender) Preview(to Target, m Message, p *providers.Push, whole []byte) providers.Preview {
	body := m.firstFit(to.limit())
	if body == nil {
		return providers.Previewed(tooLarge())
	}
	url, header, err := s.client.Preview(to.Endpoint, p.Site, Header(m.Topic, p, s.Now()))
	if err != nil {
		return providers.Previewed(endpoint.Failed(err))
	}
	request := providers.Request{
		Method: http.MethodPost, URL: url, Header: header, Body: body, Encrypted: to.Keys != nil, Whole: whole,
	}
	preview := providers.Preview{Requests: []providers.Request{request}}
	if smallest := last(m.Bodies); len(smallest) < len(body) {
		request.Body = smallest
		preview.Requests = append(preview.Requests, request)
	}
	return preview
}
