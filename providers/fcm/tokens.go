package fcm

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/oauth2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// tokens are the access tokens of an app's credentials, which follow the credentials file.
type tokens struct {
	*pooled.Follower[*credentials, *source]
}

func newTokens(path string, settings *network.Settings, logger *zap.Logger) (*tokens, error) {
	client := &http.Client{
		Transport: &http.Transport{
			Proxy:               func(r *http.Request) (*url.URL, error) { return settings.Proxy(r.URL) },
			TLSClientConfig:     settings.TLS(),
			TLSHandshakeTimeout: 5 * time.Second,
			ForceAttemptHTTP2:   true,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	options := keyfile.Options[*credentials]{
		Parse: func(contents [][]byte) (*credentials, error) {
			return parseCredentials(contents, client, settings.Identity())
		},
		Logger: logger,
	}
	if path != "" {
		options.Paths = []string{path}
	}
	followed, err := pooled.Follow(options, takeSource)
	if err != nil {
		return nil, err
	}
	return &tokens{followed}, nil
}

func (t *tokens) get(ctx context.Context) (string, error) { return t.Current().get(ctx) }

func (t *tokens) refused(token string) { t.Current().refused(token) }

func (t *tokens) project() string { return t.Get().project }

func (t *tokens) quotaProject() string { return t.Get().quotaProject }

// sources keeps one source for each credential, shared by all apps that use it and kept across reloads.
var sources = pooled.NewPool[*source]()

const (
	// fetchTimeout bounds the request for a token.
	fetchTimeout = 15 * time.Second
	// fetchAgain is how soon a failed request for a token is repeated.
	fetchAgain = 5 * time.Second
	// renewEvery is how soon a refused token is replaced again: the token may not be the cause.
	renewEvery = time.Minute
)

// source provides the tokens of one credential. However many callers wait, it makes one request, and it makes it before the current token
// expires. It is safe for concurrent use.
type source struct {
	fetch func(context.Context) (*oauth2.Token, error)
	now   func() time.Time

	mu      sync.Mutex
	token   *oauth2.Token // nil if there is none, or it was refused
	early   time.Time     // when to fetch the next
	running chan struct{} // closed when the fetch that is running ends; nil if none is
	renewed time.Time     // when a token was last replaced because it was refused
	failed  time.Time     // when the last fetch failed
	err     error         // why; nil if it did not
}

// takeSource takes a share of the source of a credential.
func takeSource(c *credentials) (*pooled.Share[*source], error) {
	return sources.Take(c.name, func() (*source, error) { return &source{fetch: c.fetch, now: time.Now}, nil })
}

// get returns a token that is valid for a while.
func (s *source) get(ctx context.Context) (string, error) {
	for {
		token, running, err := s.look()
		if running == nil {
			return token, err
		}
		select {
		case <-running:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// look returns the token, the error of the last fetch, or what to wait for.
func (s *source) look() (string, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	valid := s.token != nil && now.Before(s.token.Expiry)
	if valid && now.Before(s.early) {
		return s.token.AccessToken, nil, nil
	}
	if s.running == nil && s.err != nil && now.Sub(s.failed).Abs() < fetchAgain {
		if valid {
			return s.token.AccessToken, nil, nil
		}
		return "", nil, s.err
	}
	if s.running == nil {
		s.running = make(chan struct{})
		go s.run()
	}
	if valid {
		return s.token.AccessToken, nil, nil
	}
	return "", s.running, nil
}

// run fetches a token. The token serves every caller, so no single caller's context ends the fetch.
func (s *source) run() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	token, err := s.fetch(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err == nil && !token.Expiry.After(now) {
		err = errors.New("the token has already expired")
	}
	if err != nil {
		s.err, s.failed = &credentialError{err}, now
	} else {
		s.err, s.token = nil, token
		s.early = now.Add(token.Expiry.Sub(now) * 5 / 6)
	}
	close(s.running)
	s.running = nil
}

// refused makes the next callers wait for another token than this one, unless that was tried a moment ago.
func (s *source) refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.token != nil && s.token.AccessToken == token && now.Sub(s.renewed).Abs() >= renewEvery {
		s.token, s.renewed = nil, now
	}
}

// credentialError means that there was no access token to send with.
type credentialError struct{ err error }

// Error returns the reason without what Google was sent or answered.
func (e *credentialError) Error() string {
	return "getting an access token: " + e.outcome().Err.Error()
}

// outcome distinguishes credentials that Google does not accept from an unreachable Google.
func (e *credentialError) outcome() providers.Outcome {
	var refused *oauth2.RetrieveError
	if !errors.As(e.err, &refused) || refused.Response == nil {
		o := network.Failed(e.err)
		o.Reason = "token_" + o.Reason
		return o
	}
	if status := refused.Response.StatusCode; status == http.StatusTooManyRequests || status >= 500 {
		return providers.Retry("token_unavailable", 0, errors.New("the token endpoint fails"))
	}
	o := providers.Misconfigured("credentials_refused", errors.New("the token endpoint refuses the credentials"))
	o.Word = grantCode(refused.Body)
	return o
}
