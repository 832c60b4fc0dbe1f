package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Preview is what the gateway would send to a push service.
type Preview struct {
	App         string `json:"app"`
	Provider    string `json:"provider"`
	PushkeyHash string `json:"pushkey_hash"`
	// Site is the site at which the notification counts as arrived, `host` or `host:port`; empty if it is unknown.
	Site string `json:"site,omitempty"`
	// Content is the app's content option as it applies to the device: full or event_id_only.
	Content string `json:"content"`
	// Withheld are the members of the notification that the content and badges options keep from the push service.
	Withheld []string `json:"withheld"`
	// Requests are the requests to the push service. The first is sent. Each further one is sent if the push service finds the body of the
	// one before too large.
	Requests []PreviewedRequest `json:"requests"`
	// Outcome is why nothing is sent; Reason, Explanation and Detail say more. They are absent if there are requests.
	Outcome     string `json:"outcome,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Explanation string `json:"explanation,omitempty"`
	Detail      string `json:"detail,omitempty"`
	// Result is sent, or what would become of a homeserver's push instead: rejected, dropped, queued, or unavailable without an outbox.
	Result string `json:"result"`
	// OnRecord means that a homeserver would get the rejection on record instead.
	OnRecord bool `json:"on_record"`
	// Note is what remains unclear, or what to do; absent if there is nothing.
	Note string `json:"note,omitempty"`
}

// PreviewedRequest is a request that would be sent.
type PreviewedRequest struct {
	Method string `json:"method"`
	// URL has an ellipsis in place of what is secret.
	URL string `json:"url"`
	// Headers are by their names in lower case. Those with credentials are omitted.
	Headers map[string]string `json:"headers"`
	// Body is the exact body, before it is encrypted for the device. If it is not UTF-8, it is BodyBase64 instead.
	Body       string `json:"body"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
	// Encrypted means that the body is encrypted for the device before it is sent.
	Encrypted bool `json:"encrypted"`
	// Size is the body's size in bytes. WholeSize is what it would be without a limit; absent if nothing was omitted or shortened.
	Size      int `json:"size"`
	WholeSize int `json:"whole_size,omitempty"`
	// Omitted and Shortened are the members that the body lacks, or has only in part, because of a limit to its size.
	Omitted   []string `json:"omitted"`
	Shortened []string `json:"shortened"`
}

// resultSent is the result of a preview with requests.
const resultSent = "sent"

// ErrNoPreview means that a provider does not implement [providers.Previewer].
var ErrNoPreview = errors.New("cannot show what it would send")

// Preview returns what [Gateway.Try] would send for the same arguments. It sends nothing, and changes nothing.
func (g *Gateway) Preview(ctx context.Context, r *Request, address Address) (Preview, error) {
	s, err := g.subject(ctx, r, address)
	if err != nil {
		return Preview{}, err
	}
	app, by := s.app, s.app.seenBy(s.device)
	p := Preview{
		App: app.Pattern, Provider: app.ProviderName, PushkeyHash: s.key.String(), Site: s.at.address.String(), OnRecord: s.onRecord,
		Content: by.content(), Withheld: by.withheld(s.n), Requests: []PreviewedRequest{}, Result: resultSent,
	}
	push, o := g.prepare(s)
	c := circumstances{}
	if push != nil {
		made, ok := app.Preview(push)
		if !ok {
			return Preview{}, fmt.Errorf("the provider %s %w", app.ProviderName, ErrNoPreview)
		}
		before := *push
		before.Notification = by.part(s.n)
		p.Requests = previewed(made.Requests, wholeOf(app, &before))
		o, c = made.Outcome, g.circumstancesOf(s, made.Outcome)
	}
	if len(p.Requests) == 0 {
		p.Outcome, p.Reason, p.Explanation = o.Kind.String(), o.Reason, app.Explain(o.Reason)
		if o.Err != nil {
			p.Detail = o.Err.Error()
		}
		p.Result = decide(o, c).result.String()
	}
	if g.servedNowhere(app) {
		p.Result = Rejected.String()
	}
	p.Note = g.noteOn(s, o)
	return p, nil
}

// wholeOf returns the body of a push that is not reduced, as it would be without a limit; nil if the provider does not show it.
func wholeOf(app *App, push *providers.Push) []byte {
	made, _ := app.Preview(push)
	if len(made.Requests) == 0 {
		return nil
	}
	return made.Requests[0].Whole
}

// previewed returns the requests in the form of an answer.
func previewed(requests []providers.Request, whole []byte) []PreviewedRequest {
	list := make([]PreviewedRequest, 0, len(requests))
	for _, r := range requests {
		p := PreviewedRequest{
			Method: r.Method, URL: r.URL, Headers: headersOf(r.Header), Body: string(r.Body), Encrypted: r.Encrypted, Size: len(r.Body),
		}
		if !utf8.Valid(r.Body) {
			p.Body, p.BodyBase64 = "", r.Body
		}
		if p.Omitted, p.Shortened = lost(whole, r.Body); len(whole) > len(r.Body) {
			p.WholeSize = len(whole)
		}
		list = append(list, p)
	}
	return list
}

// headersOf returns headers by their names in lower case, in which HTTP/2 sends them.
func headersOf(header http.Header) map[string]string {
	headers := make(map[string]string, len(header))
	for name, values := range header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return headers
}

// content returns the content option that has this effect.
func (by seenBy) content() string {
	if by.full {
		return "full"
	}
	return "event_id_only"
}

// idMembers are the members of a notification that [providers.ContentIDs] lets leave. An id stands for an event_id.
var idMembers = []string{"id", "event_id", "room_id", "prio", "counts", "ciphertext", "ephemeral", "mac"}

// withheld returns the members of a notification that the app's options keep from the push service.
func (by seenBy) withheld(n *providers.Notification) []string {
	names := []string{}
	members := n.Members()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		isID := slices.Contains(idMembers, name)
		if string(members[name]) != "null" && (!isID && !by.full || name == "counts" && !by.counts) {
			names = append(names, name)
		}
	}
	return names
}
