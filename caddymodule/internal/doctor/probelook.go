package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// look sends a notify request for a probe to its URL, as a homeserver would, but marked as doctor's. It returns what the gateway there has
// seen of the probe. Without that, it returns where the request arrived, and why not at this gateway. The answer is only classified, and
// never shown, because anyone can choose the URL.
func (p *probing) look(ctx context.Context, r *Reach) (seen *gateway.Sightings, at Place, why string) {
	device := map[string]any{"app_id": gateway.ProbeAppID, "pushkey": r.nonce, "data": map[string]any{gateway.ProbeAppID: true}}
	body, err := json.Marshal(map[string]any{"notification": map[string]any{
		"counts": map[string]any{"unread": 0}, "devices": []any{device},
	}})
	if err != nil {
		return nil, Nowhere, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	status, answered, err := p.post(ctx, r.URL, body)
	var answer struct {
		Rejected *[]string          `json:"rejected"`
		Seen     *gateway.Sightings `json:"org.matrix-push.doctor"`
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, Nowhere, "no answer within " + probeTime.String()
	case err != nil:
		return nil, Nowhere, err.Error()
	case status != http.StatusOK:
		return nil, Nowhere, fmt.Sprintf("the answer has status %d", status)
	case json.Unmarshal(answered, &answer) != nil || answer.Rejected == nil:
		return nil, Nowhere, "the answer is not that of a push gateway"
	case answer.Seen == nil && slices.Contains(*answer.Rejected, r.nonce):
		return nil, Elsewhere, "the gateway there does not have the key for probes that is in this gateway's storage"
	case answer.Seen == nil:
		return nil, Elsewhere, "the gateway there does not know probes"
	}
	return answer.Seen, Group, ""
}

// maxLook bounds how much of an answer is read.
const maxLook = 64 << 10

func (p *probing) post(ctx context.Context, address string, body []byte) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, errors.New("it is not a URL")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "caddy-matrix-push")
	client := http.Client{Transport: p.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the URL
		}
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxLook))
	return response.StatusCode, answer, err
}
