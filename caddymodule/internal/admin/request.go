package admin

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// maxBody bounds a request to the admin API. A Matrix event alone may have 64 KiB.
	maxBody = 256 << 10

	// A page has defaultPage entries unless the request says otherwise, and at most maxPage.
	defaultPage = 100
	maxPage     = 1000

	// minHash is how many digits of a hash tell enough.
	minHash = 4

	// bulkTime is how long a request may work through a store before it answers how far it came.
	bulkTime = 5 * time.Second
	// bulkPage is how much of a store is read at a time.
	bulkPage = 1000
	// maxCandidates bounds the hashes that an ambiguous prefix is answered with.
	maxCandidates = 20
)

// respond answers with JSON.
func respond(w http.ResponseWriter, status int, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}

// refuse is the error that a request is answered with. Nothing that a request's body has may be in it but names.
func refuse(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// decode reads a request's body into what it has to be. An error names the member, never its value.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			return refuse(http.StatusBadRequest, "the body has more than one JSON object")
		}
		return nil
	}
	var wrong *json.UnmarshalTypeError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case errors.As(err, &wrong) && wrong.Field == "":
		return refuse(http.StatusBadRequest, "the body is not a JSON object")
	case errors.As(err, &wrong):
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return refuse(http.StatusBadRequest, "%s: it cannot be a JSON %s", wrong.Field, kind)
	case errors.Is(err, io.EOF):
		return refuse(http.StatusBadRequest, "the body is empty: it has to be a JSON object")
	case strings.Contains(err.Error(), "unknown field"): // encoding/json has no type for this error
		return refuse(http.StatusBadRequest, "%s", strings.TrimPrefix(err.Error(), "json: "))
	default:
		return refuse(http.StatusBadRequest, "the body is not a JSON object such as the route wants")
	}
}

// parameters reads a request's query, which may have these parameters, each once.
func parameters(r *http.Request, allowed ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the query cannot be read")
	}
	for name, given := range values {
		if !slices.Contains(allowed, name) {
			return nil, refuse(http.StatusBadRequest, "unknown parameter %q: there are %s", name, strings.Join(allowed, ", "))
		}
		if len(given) > 1 {
			return nil, refuse(http.StatusBadRequest, "%s: it is given more than once", name)
		}
	}
	return values, nil
}

// pageLimit is how many entries a request wants in a page.
func pageLimit(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, refuse(http.StatusBadRequest, "limit: it has to be a number from 1 to %d", maxPage)
	}
	return n, nil
}

// hashPrefix is the beginning of a hash as the stores want it.
func hashPrefix(name, text string) (string, error) {
	prefix := strings.ToLower(text)
	if len(prefix) > hex.EncodedLen(len(rejected.Key{})) || strings.Trim(prefix, "0123456789abcdef") != "" {
		return "", refuse(http.StatusBadRequest, "%s: it has to be up to %d hexadecimal digits", name, hex.EncodedLen(len(rejected.Key{})))
	}
	return prefix, nil
}

// parseHash reads a hash: its prefix, and the key if that is all of it.
func parseHash(text string) (prefix string, key rejected.Key, whole bool, err error) {
	if prefix, err = hashPrefix("hash", text); err != nil {
		return "", key, false, err
	}
	if len(prefix) < minHash {
		return "", key, false, refuse(http.StatusBadRequest, "hash: it has to have at least %d hexadecimal digits", minHash)
	}
	if len(prefix) < hex.EncodedLen(len(key)) {
		return prefix, key, false, nil
	}
	_, err = hex.Decode(key[:], []byte(prefix))
	return prefix, key, true, err
}

// ambiguousError says that several devices' hashes begin with what was given.
type ambiguousError struct{ Failure }

func (e *ambiguousError) Error() string { return e.Failure.Error }

func ambiguous(keys []rejected.Key) error {
	return candidates("several hashes begin with this one: give more of it", keys)
}

// severalEndpoints says that devices with the pushkey go to several endpoints.
func severalEndpoints(keys []rejected.Key) error {
	return candidates("several endpoints are known of this pushkey: give the endpoint of the pusher's data, or a hash", keys)
}

func candidates(problem string, keys []rejected.Key) error {
	e := &ambiguousError{Failure{Error: problem}}
	for _, k := range keys[:min(len(keys), maxCandidates)] {
		e.Candidates = append(e.Candidates, k.String())
	}
	return e
}
