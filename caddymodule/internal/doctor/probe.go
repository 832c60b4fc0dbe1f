package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
)

// A probe makes the user's homeserver itself call the gateway. It needs a temporary pusher with the URL of the user's pusher, and a room
// in which something happens that the homeserver reports to pushers:
//
//   - With the user's account only, the user sends a message to a new room, and reads it. Homeservers then send the new unread
//     counts.
//   - Some homeservers send no counts. There, a second account invites the user and sends a message.
//
// Afterwards, everything is removed, whatever happened. Requests that change something at the homeserver are never cancelled halfway:
// nobody would know the name of a room that was just made.

// Prober makes probes, and knows which arrived at this gateway.
type Prober interface {
	Probe(ctx context.Context) (*gateway.Probe, error)
	Seen(ctx context.Context, pushkey string) (*gateway.Sightings, error)
}

const (
	// probeTime is how long the homeserver may take to send a notification.
	probeTime = 10 * time.Second
	// probePoll is the time between two looks, and every lookAgain-th look also asks the gateways behind a load balancer.
	probePoll = 200 * time.Millisecond
	lookAgain = 5
	// probeRoom is the name of the room, and probeText of the message in it. Both are visible to the user's clients for some seconds.
	probeRoom = "Push test of caddy matrix-push"
	probeText = "This message tests push notifications. The room is removed at once."
)

// Place is where doctor's own request to a URL arrived.
type Place string

const (
	// Here is this gateway.
	Here Place = "this_gateway"
	// Group is another gateway with the same storage.
	Group Place = "gateway_of_the_group"
	// Elsewhere is a gateway that does not know this gateway's probes.
	Elsewhere Place = "another_gateway"
	// Nowhere means that no gateway answers.
	Nowhere Place = "nowhere"
)

// Reach is whether the homeserver reaches the gateway at a URL.
type Reach struct {
	// URL may contain secrets. Server is what is shown of it.
	URL    string `json:"-"`
	Server string `json:"url"`
	// Place is where a request from this machine to the URL arrives. Why is why it does not arrive at this gateway.
	Place Place  `json:"from_this_machine"`
	Why   string `json:"why,omitempty"`
	// Homeserver is how the homeserver's request arrived; absent if none did. Seconds is how long it took.
	Homeserver *gateway.Sighting `json:"homeserver,omitempty"`
	Seconds    float64           `json:"seconds,omitempty"`

	nonce string
	// pusher is the index of a pusher with this URL. byGroup means that the homeserver's request arrived at another gateway of the group.
	pusher  int
	byGroup bool
}

// probing is one run.
type probing struct {
	// user is the account whose phone does not ring, and userID its name. other is the second account; nil if there is none.
	user, other *homeserver.Client
	userID      string
	gates       Prober
	transport   http.RoundTripper
	tell        func(string)
	// patience is how long the homeserver may take, and poll is the time between two looks.
	patience, poll time.Duration

	reaches []*Reach
	// pushing means that a pusher may have been registered. asked means that a room may have been made, and room is its ID.
	pushing, asked bool
	room           string
	// left is what could not be removed.
	left []leftOver
}

// leftOver is something that could not be removed, and how the user can remove it.
type leftOver struct{ what, how string }

// errInterrupted is the error of a run that the user ended.
var errInterrupted = errors.New("interrupted")

// run probes URLs. Whatever happens, it removes what it made. It returns what the user must remove, if that failed.
func (p *probing) run(ctx context.Context, urls []string) (left []leftOver, err error) {
	p.tell("Sending a test request to the gateway's URL…")
	for _, address := range urls {
		r, err := p.approach(ctx, address)
		if err != nil {
			return nil, err
		}
		p.reaches = append(p.reaches, r)
	}
	defer func() {
		p.cleanUp(ctx)
		left = p.left
	}()
	return nil, p.provoke(ctx)
}

// approach makes a probe for a URL, and sends a request to it from this machine.
func (p *probing) approach(ctx context.Context, address string) (*Reach, error) {
	probe, err := p.gates.Probe(ctx)
	if err != nil {
		return nil, err
	}
	to, _ := parseTarget(address)
	r := &Reach{URL: address, Server: "https://" + to.host, nonce: probe.Pushkey}
	var seen *gateway.Sightings
	if seen, r.Place, r.Why = p.look(ctx, r); seen == nil {
		return r, nil
	}
	mine, err := p.gates.Seen(ctx, r.nonce)
	if err != nil {
		return nil, err
	}
	if r.Place = Group; mine.Doctor != nil {
		r.Place = Here
	}
	return r, nil
}

// waiting returns the URLs that the homeserver is to call and has not called yet. Another gateway would reject the pusher.
func (p *probing) waiting() (list []*Reach) {
	for _, r := range p.reaches {
		if r.Place != Elsewhere && r.Homeserver == nil {
			list = append(list, r)
		}
	}
	return list
}

// provoke makes the homeserver send a notification to each URL, and waits for them.
func (p *probing) provoke(ctx context.Context) error {
	if len(p.waiting()) == 0 {
		return nil
	}
	p.tell("Making the homeserver send a notification…")
	var event string
	steps := []func(context.Context) error{p.register}
	if p.other == nil {
		steps = append(steps, p.makeRoom(p.user), p.say(p.user, &event), func(ctx context.Context) error {
			return p.user.ReadPrivately(ctx, p.room, event)
		})
	} else {
		steps = append(steps, p.makeRoom(p.other), func(ctx context.Context) error { return p.user.Join(ctx, p.room) }, p.say(p.other, &event))
	}
	for _, step := range steps {
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err := step(context.WithoutCancel(ctx)); err != nil { // each request has its own time limit
			return err
		}
	}
	return p.await(ctx)
}

// register registers a temporary pusher for each URL.
func (p *probing) register(ctx context.Context) error {
	p.pushing = true
	for _, r := range p.waiting() {
		err := p.user.SetPusher(ctx, map[string]any{
			"kind": "http", "app_id": gateway.ProbeAppID, "pushkey": r.nonce, "append": true, "lang": "en",
			"app_display_name": "caddy matrix-push doctor", "device_display_name": "Temporary pusher",
			"data": map[string]any{"url": r.URL, "format": "event_id_only"},
		})
		if err != nil {
			return fmt.Errorf("registering a temporary pusher: %w", err)
		}
	}
	return nil
}

// makeRoom makes a private room. The second account invites the user.
func (p *probing) makeRoom(by *homeserver.Client) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		p.asked = true
		options := map[string]any{"name": probeRoom, "preset": "private_chat", "creation_content": map[string]any{"m.federate": false}}
		if by == p.other {
			options["invite"] = []string{p.userID}
		}
		if p.room, err = by.CreateRoom(ctx, options); err == nil {
			return nil
		}
		if failed := (*homeserver.Error)(nil); errors.As(err, &failed) && failed.Status/100 == 4 {
			p.asked = false // the homeserver refused to make it
		}
		return fmt.Errorf("creating a room: %w", err)
	}
}

func (p *probing) say(by *homeserver.Client, event *string) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		*event, err = by.Send(ctx, p.room, "m.room.message", map[string]any{"msgtype": "m.text", "body": probeText})
		if err != nil {
			return fmt.Errorf("sending a message: %w", err)
		}
		return nil
	}
}

// await waits until the homeserver has called all URLs, or for as long as it may take.
func (p *probing) await(ctx context.Context) error {
	p.tell("Waiting for the homeserver's notification…")
	began := time.Now()
	patient, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	for n := 1; ; n++ {
		for _, r := range p.waiting() {
			seen, err := p.gates.Seen(ctx, r.nonce)
			if err == nil && seen.Homeserver == nil && r.Place != Nowhere && n%lookAgain == 0 { // it may have called another gateway
				if others, _, _ := p.look(patient, r); others != nil {
					seen, r.byGroup = others, others.Homeserver != nil
				}
			}
			switch {
			case ctx.Err() != nil:
				return errInterrupted
			case err != nil:
				return err
			case seen.Homeserver != nil:
				r.Homeserver, r.Seconds = seen.Homeserver, time.Since(began).Seconds()
			}
		}
		if len(p.waiting()) == 0 || patient.Err() != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(p.poll):
		}
	}
}
