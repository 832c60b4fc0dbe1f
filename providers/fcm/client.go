package fcm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/network"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/service"
)

// client sends messages with Firebase's SDK, over connections of our own and by our own reading of the answers.
type client struct {
	sdk     *messaging.Client
	service *service.Client
	tokens  *tokens
}

// server is FCM's.
var server = &url.URL{Scheme: "https", Host: "fcm.googleapis.com"}

func newClient(project string, settings *network.Settings, tokens *tokens) (*client, error) {
	connections, err := service.NewClient(service.Options{Server: server, Settings: settings})
	if err != nil {
		return nil, err
	}
	c := &client{service: connections, tokens: tokens}
	at := server
	if settings.Endpoint != nil {
		at = settings.Endpoint
	}
	config := configOf(messaging.NewClient)
	config.ProjectID = project
	config.Version = sdkVersion
	config.Opts = []option.ClientOption{
		option.WithHTTPClient(&http.Client{
			Transport:     c,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		option.WithEndpoint("https://" + at.Host + "/v1"),
	}
	if c.sdk, err = messaging.NewClient(context.Background(), config); err != nil {
		return nil, errors.Join(err, connections.Close())
	}
	return c, nil
}

// sdkVersion is what the SDK tells Google that it is.
const sdkVersion = "4.19.0"

// configOf is a configuration of the type that the constructor takes, which the SDK keeps to itself: its public way to a messaging
// client is through a package that needs Firestore, Storage and gRPC, 24 MB that nobody here uses.
func configOf[C any](func(context.Context, *C) (*messaging.Client, error)) *C { return new(C) }

// answer is what FCM said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call is one send on its way through the SDK: what it sends and what became of it.
type call struct {
	answer *answer // nil if nothing was sent
	err    error
}

type callKey struct{}

// send sends a message. There is no answer if the SDK found the message wrong by itself.
func (c *client) send(ctx context.Context, m *messaging.Message) (*answer, error) {
	return do(ctx, m, c.sdk.Send)
}

// validate lets FCM look at a message as if it were to be delivered, and deliver nothing.
func (c *client) validate(ctx context.Context, m *messaging.Message) (*answer, error) {
	return do(ctx, m, c.sdk.SendDryRun)
}

// do is one call of the SDK.
func do(ctx context.Context, m *messaging.Message, send func(context.Context, *messaging.Message) (string, error)) (*answer, error) {
	var this call
	_, err := send(context.WithValue(ctx, callKey{}, &this), m)
	if this.answer == nil && this.err == nil {
		return nil, invalid{err}
	}
	return this.answer, this.err
}

// invalid says that the SDK did not send a message.
type invalid struct{ error }

// check says what the SDK finds wrong with a message. Nothing is sent.
func (c *client) check(m *messaging.Message) error {
	_, err := c.send(context.WithValue(context.Background(), dryKey{}, true), m)
	if errors.Is(err, errDry) {
		return nil
	}
	return err
}

type dryKey struct{}

var errDry = errors.New("nothing is sent")

// RoundTrip sends the SDK's request. The SDK learns of a failure only that it is final: it would repeat what it finds temporary, for
// seconds, on top of the gateway's own repetitions.
func (c *client) RoundTrip(req *http.Request) (*http.Response, error) {
	this := req.Context().Value(callKey{}).(*call)
	if req.Context().Value(dryKey{}) != nil {
		this.err = errDry
	} else {
		this.answer, this.err = c.authorized(req)
	}
	status := http.StatusBadRequest
	if this.err == nil && this.answer.status/100 == 2 {
		status = http.StatusOK
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/2.0", ProtoMajor: 2, Header: make(http.Header),
		Body: io.NopCloser(bytes.NewReader([]byte("{}"))), Request: req,
	}, nil
}

// authorized sends a request with an access token, and once more with a fresh one if FCM does not take that.
func (c *client) authorized(req *http.Request) (*answer, error) {
	token, err := c.tokens.get(req.Context())
	if err != nil {
		return nil, err
	}
	a, err := c.roundTrip(req, token)
	if err != nil || !a.unauthenticated() {
		return a, err
	}
	c.tokens.refused(token)
	fresh, err := c.tokens.get(req.Context())
	switch {
	case err != nil:
		return nil, err
	case fresh == token:
		return a, nil
	default:
		return c.roundTrip(req, fresh)
	}
}

// maxAnswer is how much of an answer is read: an error has some hundred bytes.
const maxAnswer = 16 << 10

func (c *client) roundTrip(req *http.Request, token string) (*answer, error) {
	req = req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "caddy-matrix-push")
	if project := c.tokens.quotaProject(); project != "" {
		req.Header.Set("X-Goog-User-Project", project) // https://cloud.google.com/docs/quotas/set-quota-project
	}
	resp, err := c.service.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.status != http.StatusOK {
		if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
			return nil, err // half an error would read as that of a proxy
		}
	}
	return a, nil
}

// close lets go of the connections and the token. A nil client has none.
func (c *client) close() error {
	if c == nil {
		return nil
	}
	return errors.Join(c.service.Close(), c.tokens.close())
}

var _ http.RoundTripper = (*client)(nil)
