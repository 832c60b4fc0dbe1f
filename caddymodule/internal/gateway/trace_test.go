package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// traced is a rig whose requests are traced into memory.
type traced struct {
	*rig
	exporter *tracetest.InMemoryExporter
	tracer   trace.Tracer
}

func newTraced(r *rig, options ...sdktrace.TracerProviderOption) *traced {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(append(options, sdktrace.WithSyncer(exporter))...)
	return &traced{rig: r, exporter: exporter, tracer: provider.Tracer("caddy")}
}

// notify handles a request within a span, as Caddy's tracing does, and returns the context of that span.
func (r *traced) notify(body string) trace.SpanContext {
	r.t.Helper()
	request, err := Decode([]byte(body), 10)
	if err != nil {
		r.t.Fatal(err)
	}
	_, request.Span = r.tracer.Start(context.Background(), "request")
	r.Notify(request, providers.Site{}, everything)
	request.Span.End()
	return request.Span.SpanContext()
}

// pushes returns the spans of pushes, once all have ended.
func (r *traced) pushes() (spans []tracetest.SpanStub) {
	r.Shared.Drain(context.Background())
	for _, s := range r.exporter.GetSpans() {
		if s.Name != "request" {
			spans = append(spans, s)
		}
	}
	return spans
}

func attributes(s tracetest.SpanStub) string {
	var list []string
	for _, a := range s.Attributes {
		list = append(list, strings.TrimPrefix(string(a.Key), "matrix_push.")+"="+a.Value.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestEachPushOfATracedRequestHasASpan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		outcome providers.Outcome
		want    string
		status  codes.Code
	}{
		{"delivered", providers.Delivered(), "outcome=delivered provider=scripted pushkey_hash=58a4fe68 reason=delivered", codes.Unset},
		{"a dead pushkey is not an error", providers.Rejected("gone"), "outcome=rejected provider=scripted pushkey_hash=58a4fe68 reason=gone", codes.Unset},
		{"a push service that is down is one", providers.Retry("http_503", 0, errors.New("secret")), "outcome=retry provider=scripted pushkey_hash=58a4fe68 reason=http_503", codes.Error},
		{"and so are wrong credentials", providers.Misconfigured("http_403", nil), "outcome=misconfigured provider=scripted pushkey_hash=58a4fe68 reason=http_403", codes.Error},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTraced(newRig(t, appFor("app", always(tt.outcome))))
			parent := r.notify(event("$e", device("the pushkey")))
			spans := r.pushes()
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			s := spans[0]
			if s.Name != "matrix_push.push" || s.SpanKind != trace.SpanKindClient || s.Parent.SpanID() != parent.SpanID() || s.SpanContext.TraceID() != parent.TraceID() {
				t.Errorf("the span is %+v", s)
			}
			if got := attributes(s); got != "app=app "+tt.want {
				t.Errorf("attributes\ngot  %s\nwant app=app %s", got, tt.want)
			}
			if s.Status.Code != tt.status || strings.Contains(s.Status.Description, "secret") || len(s.Events) > 0 {
				t.Errorf("the status is %+v, with events %v", s.Status, s.Events)
			}
		})
	}
}

func TestNoSpanReachesAProvider(t *testing.T) {
	t.Parallel()
	var seen trace.SpanContext
	p := &scripted{script: func(ctx context.Context, _ *providers.Push) providers.Outcome {
		seen = trace.SpanContextFromContext(ctx)
		return providers.Delivered()
	}}
	r := newTraced(newRig(t, appFor("app", p)))
	r.notify(event("$e", device("key")))
	if n := len(r.pushes()); n != 1 || seen.IsValid() {
		t.Errorf("%d spans, and the provider sees %v", n, seen)
	}
}

func TestTheSpanOfAPushMayOutlastItsRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := appFor("app", after(8*time.Second, providers.Delivered()))
		r := newTraced(newRig(t, app).withOutbox())
		r.notify(event("$e", device("key")))
		if n := len(r.exporter.GetSpans()); n != 1 {
			t.Errorf("%d spans have ended with the answer", n)
		}
		spans := r.pushes()
		if len(spans) != 1 || spans[0].EndTime.Sub(spans[0].StartTime) != 8*time.Second {
			t.Errorf("spans %v", spans)
		}
	})
}

func TestARequestThatIsNotRecordedHasNoSpans(t *testing.T) {
	t.Parallel()
	r := newTraced(newRig(t, appFor("app", always(providers.Delivered()))), sdktrace.WithSampler(sdktrace.NeverSample()))
	r.notify(event("$e", device("key")))
	if n := len(r.pushes()); n != 0 {
		t.Errorf("%d spans", n)
	}
}
