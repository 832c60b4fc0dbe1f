package gateway

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// startSpan begins the span of an attempt, as a child of its request's span and with the same exporter. It returns nil if the request
// is not traced. The span is not in the attempt's context, so nothing of it reaches a push service.
func (f *flight) startSpan() trace.Span {
	if f.span == nil || !f.span.IsRecording() {
		return nil
	}
	ctx := trace.ContextWithSpan(context.Background(), f.span)
	_, span := f.span.TracerProvider().Tracer("github.com/matrix-push/caddy-matrix-push").Start(ctx, "matrix_push.push",
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("matrix_push.app", f.app.Pattern),
			attribute.String("matrix_push.provider", f.app.ProviderName),
			attribute.String("matrix_push.pushkey_hash", f.key.Short()),
		))
	return span
}

// endSpan ends the span with the result of the attempt. It is an error only if the operator must look into it.
func endSpan(span trace.Span, a Attempt) {
	if span == nil {
		return
	}
	span.SetAttributes(
		attribute.String("matrix_push.outcome", a.Kind()),
		attribute.String("matrix_push.reason", a.Outcome.Reason),
	)
	if a.Outcome.Word != "" {
		span.SetAttributes(attribute.String("matrix_push.word", a.Outcome.Word))
	}
	if a.Alarm || a.Outcome.Kind == providers.KindRetry {
		span.SetStatus(codes.Error, a.Outcome.Reason)
	}
	span.End()
}
