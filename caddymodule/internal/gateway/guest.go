package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// The methods in this file make all calls to an app's provider, which may be a third party's. A panic of the provider becomes an error,
// or the most harmless answer. It does not end Caddy.

// Panic describes a panic of a provider, for the operator and the provider's author.
type Panic struct {
	// Method is the provider's method. Type is the type of the value that it panicked with; the value itself may be secret.
	Method, Type string
	// Stack has the function, file and line of each frame, innermost first, and no values.
	Stack []string
}

func (p *Panic) Error() string { return fmt.Sprintf("the provider panicked with a %s", p.Type) }

// guard calls a method of the provider, and returns the panic if it ends with one. The first panic of an app is reported.
func (a *App) guard(method string, call func()) *Panic {
	caught := Catch(method, call)
	if caught != nil && a.Panicked != nil && a.panicked.CompareAndSwap(false, true) {
		a.Panicked(a, *caught)
	}
	return caught
}

// Catch calls a method that may be a third party's, and returns the panic if it ends with one; nil otherwise.
func Catch(method string, call func()) (caught *Panic) {
	defer func() {
		if v := recover(); v != nil {
			caught = &Panic{Method: method, Type: fmt.Sprintf("%T", v), Stack: stack()}
		}
	}()
	call()
	return nil
}

// maxFrames is how many frames of a stack are reported.
const maxFrames = 64

// stack returns the stack of the panic that is being recovered.
func stack() (lines []string) {
	pcs := make([]uintptr, maxFrames)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)]) // without Callers, this function and the deferred one
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			lines = append(lines, fmt.Sprintf("%s (%s:%d)", f.Function, f.File, f.Line))
		}
		if !more {
			return lines
		}
	}
}

// sound calls Error on the provider's error, and returns the error. If it is a nil pointer, a common mistake, the call panics. Here, under
// guard, the panic is caught; a later one would not be.
func sound(err error) error {
	if err != nil {
		_ = err.Error()
	}
	return err
}

// Push makes one attempt to deliver. It returns no later than overdueAfter past the context's deadline, even if the provider does not.
func (a *App) Push(ctx context.Context, p *providers.Push) providers.Outcome {
	outcome := make(chan providers.Outcome, 1)
	go a.call(ctx, p, func(o providers.Outcome) { outcome <- o })
	return <-outcome
}

// Concurrency returns how many pushes the push service takes at the same time; 0 if the provider does not know.
func (a *App) Concurrency() (n int) {
	if p, ok := a.Provider.(providers.Concurrency); ok {
		_ = a.guard("Concurrency", func() { n = p.Concurrency() })
	}
	return n
}

// push has the provider make the attempt.
func (a *App) push(ctx context.Context, p *providers.Push) (o providers.Outcome) {
	if a.Elastic { // here, so a provider whose Concurrency does not return holds up only this attempt, which is then overdue
		a.Limit.Resize(a.Concurrency())
	}
	caught := a.guard("Push", func() {
		said := a.Provider.Push(ctx, p)
		said.Err = sound(said.Err)
		o = said
	})
	if caught != nil {
		return providers.Busy("panic", caught) // which blames no push service
	}
	if o.Kind == providers.KindDelivered {
		a.proven.Store(true)
	}
	if o.Word != "" {
		o.Word = wordFor(o.Word, p.Device)
	}
	return o
}

// Preview returns what the provider would send, and false if it cannot show that.
func (a *App) Preview(p *providers.Push) (preview providers.Preview, ok bool) {
	provider, ok := a.Provider.(providers.Previewer)
	if !ok {
		return preview, false
	}
	caught := a.guard("Preview", func() {
		made := provider.Preview(p)
		made.Outcome.Err = sound(made.Outcome.Err)
		preview = made
	})
	if caught != nil {
		return providers.Previewed(providers.Busy("panic", caught)), true
	}
	return preview, true
}

// Usable returns why nothing could ever be delivered to a device; nil if something could be.
func (a *App) Usable(d *providers.Device, site providers.Site) (err error) {
	if p, ok := a.Provider.(providers.Usable); ok {
		_ = a.guard("Usable", func() { err = sound(p.Usable(d, site)) })
	}
	return err
}

// judge reports whether nothing could ever be delivered to a device, and returns the outcome for that.
func (a *App) judge(d *providers.Device, site providers.Site) (o providers.Outcome, unusable bool) {
	err := a.Usable(d, site)
	if err == nil {
		return o, false
	}
	o = providers.Unusable("unusable", err)
	var why *providers.UnusableError
	if errors.As(err, &why) && why != nil {
		o.Reason, o.Doubtful = why.Reason, why.Doubtful
	}
	return o, true
}

// Replace returns which pending push of a device this push replaces, in the outbox's form; empty if it replaces none.
func (a *App) Replace(n *providers.Notification, d *providers.Device) (what string) {
	switch {
	case n.Badge:
		return outbox.ReplaceBadge
	case n.Wake:
		return wakeOf(n, d)
	}
	if p, ok := a.Provider.(providers.Replacer); ok {
		_ = a.guard("Replace", func() { what = p.Replace(n, d) })
	}
	if what == "" {
		return ""
	}
	hash := sha256.Sum256([]byte(what)) // it may name a room, and may be of any length
	return "told " + hex.EncodeToString(hash[:16])
}

// wakeOf returns which notifications that only wake a device replace each other. One with a low priority, which the device may get much
// later, replaces no other.
func wakeOf(n *providers.Notification, d *providers.Device) string {
	what := outbox.ReplaceWake
	if n.Prio == providers.PrioLow {
		what += " low"
	}
	if d.Account == "" {
		return what
	}
	hash := sha256.Sum256([]byte(d.Account))
	return what + " " + hex.EncodeToString(hash[:16])
}

// Reduce returns the part of a notification that the provider needs, or all of it if the provider does not reduce notifications.
func (a *App) Reduce(n *providers.Notification) *providers.Notification {
	reduced := n
	if p, ok := a.Provider.(providers.Reducer); ok {
		if caught := a.guard("Reduce", func() { reduced = p.Reduce(n) }); caught != nil || reduced == nil {
			return n
		}
	}
	return reduced
}

// reduces reports whether the provider reduces notifications.
func (a *App) reduces() bool {
	_, ok := a.Provider.(providers.Reducer)
	return ok
}

// Host returns the host that a push for the device goes to; empty if all pushes of the app go to one service.
func (a *App) Host(d *providers.Device) (host string) {
	if p, ok := a.Provider.(providers.Hoster); ok {
		_ = a.guard("Host", func() { host = p.Host(d) })
	}
	return host
}

// Target returns what decides where pushes for the device go, besides its app_id and pushkey; empty if those are enough.
func (a *App) Target(d *providers.Device) (target string) {
	if p, ok := a.Provider.(providers.Identifier); ok {
		_ = a.guard("Target", func() { target = p.Target(d) })
	}
	return target
}

// DefaultContent returns what may leave for a device if the option is not set.
func (a *App) DefaultContent(d *providers.Device) (c providers.Content) {
	c = providers.ContentIDs
	if p, ok := a.Provider.(providers.ContentDefaulter); ok {
		_ = a.guard("DefaultContent", func() { c = p.DefaultContent(d) })
	}
	return c
}

// DefaultWait returns how long a request waits if the option is not set.
func (a *App) DefaultWait() (d time.Duration) {
	d = DefaultWait
	if p, ok := a.Provider.(providers.WaitDefaulter); ok {
		_ = a.guard("DefaultWait", func() { d = p.DefaultWait() })
	}
	return d
}

// DefaultBadges returns which counts are delivered if the option is not set; never [providers.BadgesDefault].
func (a *App) DefaultBadges() (b providers.Badges) {
	if p, ok := a.Provider.(providers.BadgesDefaulter); ok {
		_ = a.guard("DefaultBadges", func() { b = p.DefaultBadges() })
	}
	if b == providers.BadgesDefault {
		return providers.BadgesOn
	}
	return b
}

// Mounted tells the provider which sites mount the app.
func (a *App) Mounted(hosts []string) (err error) {
	if p, ok := a.Provider.(providers.Mounted); ok {
		if caught := a.guard("Mounted", func() { err = sound(p.Mounted(hosts)) }); caught != nil {
			return caught
		}
	}
	return err
}

// Start tells the provider that the configuration goes live. It returns no later than overdueAfter past the end of its context, even
// if the provider does not, because Caddy loads no other configuration until then.
func (a *App) Start(ctx context.Context) error {
	p, ok := a.Provider.(providers.Starter)
	if !ok {
		return nil
	}
	started := make(chan error, 1)
	go func() {
		var err error
		if caught := a.guard("Start", func() { err = sound(p.Start(ctx)) }); caught != nil {
			err = caught
		}
		started <- err
	}()
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(overdueAfter)
	defer late.Stop()
	select {
	case err := <-started:
		return err
	case <-late.C:
		return errStarting
	}
}

// CheckStart returns why Start would fail, if the provider can find that out in advance.
func (a *App) CheckStart(ctx context.Context) (err error) {
	if p, ok := a.Provider.(providers.StartChecker); ok {
		if caught := a.guard("CheckStart", func() { err = sound(p.CheckStart(ctx)) }); caught != nil {
			return caught
		}
	}
	return err
}

// Warm prepares the provider for the first push.
func (a *App) Warm(ctx context.Context) (err error) {
	if p, ok := a.Provider.(providers.Warmer); ok {
		if caught := a.guard("Warm", func() { err = sound(p.Warm(ctx)) }); caught != nil {
			return caught
		}
	}
	return err
}

// CredentialExpiry returns when the credential in use expires; zero if it does not.
func (a *App) CredentialExpiry() (end time.Time) {
	if p, ok := a.Provider.(providers.Expirer); ok {
		_ = a.guard("CredentialExpiry", func() { end = p.CredentialExpiry() })
	}
	return end
}

// Check tests the credentials, if the provider can.
func (a *App) Check(ctx context.Context) (err error) {
	if p, ok := a.Provider.(providers.Checker); ok {
		if caught := a.guard("Check", func() { err = sound(p.Check(ctx)) }); caught != nil {
			return caught
		}
	}
	return err
}

// Explain returns what a reason means and what to do about it; empty if nobody knows.
func (a *App) Explain(reason string) (means string) {
	if p, ok := a.Provider.(providers.Explainer); ok {
		_ = a.guard("Explain", func() { means = p.Explain(reason) })
	}
	return cmp.Or(means, Reasons[reason])
}

// Advertise returns what the endpoint's GET document shows of the app.
func (a *App) Advertise() (ad providers.Advertisement) {
	if p, ok := a.Provider.(providers.Advertiser); ok {
		_ = a.guard("Advertise", func() { ad = p.Advertise() })
	}
	return ad
}
