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
	// maxBody limits a request to the admin API. A Matrix event can have up to 64 KiB.
	maxBody = 256 << 10

	// A page has defaultPage entries unless the request says otherwise, and at most maxPage.
	defaultPage = 100
	maxPage     = 1000

	// minHash is the least number of digits in a hash prefix.
	minHash = 4

	// bulkTime limits how long a request scans a store before it answers with a cursor.
	bulkTime = 5 * time.Second
	// bulkPage is how many entries of a store are read at a time.
	bulkPage = 1000
	// maxCandidates limits the hashes in the answer to an ambiguous prefix.
	maxCandidates = 20
)

// respond answers with JSON.
func respond(w http.ResponseWriter, status int, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}

// refuse returns the error to answer a request with. It may contain names from the request's body, but no values.
func refuse(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// decode decodes a request's body. An error names the member, never its value.
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
		return refuse(http.StatusBadRequest, "%s: must not be a JSON %s", wrong.Field, kind)
	case errors.Is(err, io.EOF):
		return refuse(http.StatusBadRequest, "the body is empty: send a JSON object")
	case strings.Contains(err.Error(), "unknown field"): // encoding/json has no type for this error
		return refuse(http.StatusBadRequest, "%s", strings.TrimPrefix(err.Error(), "json: "))
	default:
		return refuse(http.StatusBadRequest, "the body is not a JSON object that this route accepts")
	}
}

// parameters parses a request's query. Only the allowed parameters may be given, each once.
func parameters(r *http.Request, allowed ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the query cannot be parsed")
	}
	for name, given := range values {
		if !slices.Contains(allowed, name) {
			return nil, refuse(http.StatusBadRequest, "unknown parameter %q: allowed are %s", name, strings.Join(allowed, ", "))
		}
		if len(given) > 1 {
			return nil, refuse(http.StatusBadRequest, "%s: given more than once", name)
		}
	}
	return values, nil
}

// pageLimit returns how many entries a request wants in a page.
func pageLimit(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, refuse(http.StatusBadRequest, "limit: must be a number from 1 to %d", maxPage)
	}
	return n, nil
}

// hashLength is how many digits a hash has.
const hashLength = 2 * len(rejected.Key{})

// CheckPrefix returns an error if a text is not a prefix of a hash. The error does not contain the text, which may be a pushkey. Clients
// check it before they put it into a URL, because Caddy logs the URLs of the admin API.
func CheckPrefix(text string) error {
	if len(text) > hashLength || strings.Trim(strings.ToLower(text), "0123456789abcdef") != "" {
		return fmt.Errorf("must be at most %d hexadecimal digits", hashLength)
	}
	return nil
}

// hashPrefix returns a hash prefix in the form that the stores use.
func hashPrefix(name, text string) (string, error) {
	if err := CheckPrefix(text); err != nil {
		return "", refuse(http.StatusBadRequest, "%s: %w", name, err)
	}
	return strings.ToLower(text), nil
}

// parseHash parses a hash or a prefix of one. If it is whole, it also returns the key.
func parseHash(text string) (prefix string, key rejected.Key, whole bool, err error) {
	if prefix, err = hashPrefix("hash", text); err != nil {
		return "", key, false, err
	}
	if len(prefix) < minHash {
		return "", key, false, refuse(http.StatusBadRequest, "hash: must have at least %d hexadecimal digits", minHash)
	}
	if len(prefix) < hex.EncodedLen(len(key)) {
		return prefix, key, false, nil
	}
	_, err = hex.Decode(key[:], []byte(prefix))
	return prefix, key, true, err
}

// ambiguousError means that a request matches several devices.
type ambiguousError struct{ Failure }

func (e *ambiguousError) Error() string { return e.Failure.Error }

func ambiguous(keys []rejected.Key) error {
	return candidates("several hashes start with this prefix: give more digits", keys)
}

// severalEndpoints returns the error for a pushkey with several endpoints.
func severalEndpoints(keys []rejected.Key) error {
	return candidates("several endpoints are known for this pushkey: give the endpoint from the pusher's data, or a hash", keys)
}

func candidates(problem string, keys []rejected.Key) error {
	e := &ambiguousError{Failure{Error: problem}}
	for _, k := range keys[:min(len(keys), maxCandidates)] {
		e.Candidates = append(e.Candidates, k.String())
	}
	return e
}
