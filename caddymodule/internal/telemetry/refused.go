package telemetry

import (
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// Request is what the log shows of a refused notification. All but the site comes from the sender.
type Request struct {
	// Site is the site that refused it, as configured.
	Site string
	// From is the client's address, as Caddy determines it.
	From string
	// ForwardedProto has the values of X-Forwarded-Proto.
	ForwardedProto []string
	Path           string
}

// RequestRefused counts a request that is refused as a whole. It warns about a notification once a minute for each reason and site; r is nil
// if the request is not a notification.
func (o *Observer) RequestRefused(err *gateway.Error, r *Request) {
	if err.Reason == "" {
		return // its devices are counted
	}
	metrics.refusal(err.Reason)
	if r != nil {
		refusals.note(err, r.Site, time.Now())
	}
	switch {
	case r == nil:
	case err.Reason == gateway.ReasonBusy:
		if o.news(err.Reason) { // the memory is that of all sites
			o.logger.Warn("requests refused: too much request data in memory", zap.String("hint", err.Hint))
		}
	case o.news("refused "+err.Reason+" "+r.Site) && o.mayLog(zapcore.WarnLevel, "notify request refused"):
		o.logger.Warn("notify request refused", zap.String("reason", err.Reason), zap.Int("status", err.Status), zap.String("site", r.Site),
			zap.String("from", r.From), zap.String("x_forwarded_proto", shownProto(r.ForwardedProto)), zap.String("path", shownPath(r.Path)),
			zap.String("error", err.Message), zap.String("hint", err.Hint))
	}
}

const (
	maxProto   = 40 // bytes of X-Forwarded-Proto
	maxPath    = 80 // bytes of a path
	maxSegment = 12 // bytes of a path's segment: the random paths of push servers, which are secret, are longer
)

// shownProto returns the values of X-Forwarded-Proto for the log.
func shownProto(values []string) string {
	if len(values) == 0 {
		return "(absent)"
	}
	return printable(strings.Join(values, ", "), maxProto)
}

// shownPath returns a path for the log. A long segment could be a pushkey, so it is left out.
func shownPath(path string) string {
	segments := strings.SplitN(path, "/", maxPath)
	for i, segment := range segments {
		if len(segment) > maxSegment {
			segments[i] = "…"
		}
	}
	return printable(strings.Join(segments, "/"), maxPath)
}

// printable returns the beginning of a text, with a question mark for each character that may not be printed.
func printable(text string, most int) string {
	rest := ""
	if len(text) > most {
		text, rest = text[:most], "…"
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text) + rest
}
