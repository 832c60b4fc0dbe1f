package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// plan is the fault of one connection from the gateway to a push service. The zero value is a connection without a fault.
type plan struct {
	name string

	// Bytes from the gateway stall for a pause from the byte at on. With down, bytes to the gateway stall. Then the connection goes on, or
	// is broken. If it will be broken, nothing goes in the other direction either during the pause.
	stalls    bool
	down      bool
	at        int
	pause     time.Duration
	breaks    bool
	handshake handshake
	http1     bool

	// slow is how long each answer takes.
	slow time.Duration
	// status is answered instead of asking the push service.
	status     int
	retryAfter string
	// After this many requests, the one that the push service has just taken gets no answer. The stream is reset or, with breaks, the
	// connection.
	cutAfter int

	// limit is how many streams the gateway may open, and shrunk how many it may open after that number of requests.
	limit, shrunk uint32
	// refuse resets every other stream before it is processed.
	refuse bool
	// After this many requests, a GOAWAY refuses further ones.
	giveBackAfter int
	// goAway is the age at which the connection ends at the latest, in an orderly way with a GOAWAY.
	goAway time.Duration
}

// handshake is a fault of the TLS handshake.
type handshake int

const (
	inOrder handshake = iota
	aStranger
	anotherName
	notTLS
)

// silence is longer than the gateway waits for anything.
const silence = time.Hour

// plans are the faults that a connection can have.
var plans = []struct {
	name string
	// cards is how often the plan is used in every round.
	cards int
	// http2 marks faults that HTTP/1.1 cannot have.
	http2 bool
	draw  func(*rand.Rand, *plan)
}{
	{"reset at a byte", 3, false, func(r *rand.Rand, p *plan) { p.stall(r, 300*time.Millisecond).breaks = true }},
	{"stall at a byte", 3, false, func(r *rand.Rand, p *plan) { p.stall(r, between(r, 200*time.Millisecond, 5*time.Second)) }},
	{"stall at a byte, then reset", 3, false, func(r *rand.Rand, p *plan) {
		p.stall(r, between(r, time.Second, 8*time.Second)).breaks = true
	}},
	{"silence from a byte on", 1, false, func(r *rand.Rand, p *plan) { p.stall(r, silence).breaks = true }},
	{"a stranger's certificate", 1, false, func(_ *rand.Rand, p *plan) { p.handshake = aStranger }},
	{"a certificate for another name", 1, false, func(_ *rand.Rand, p *plan) { p.handshake = anotherName }},
	{"no TLS at all", 1, false, func(_ *rand.Rand, p *plan) { p.handshake = notTLS }},
	{"slow answers", 1, false, func(r *rand.Rand, p *plan) { p.slow = between(r, 50*time.Millisecond, 3*time.Second) }},
	{"503", 1, false, func(_ *rand.Rand, p *plan) { p.status = 503 }},
	{"a 4xx with Retry-After", 1, false, func(_ *rand.Rand, p *plan) { p.status, p.retryAfter = 429, "1" }},
	{"500", 1, false, func(_ *rand.Rand, p *plan) { p.status = 500 }},
	{"taken, then reset", 1, false, func(r *rand.Rand, p *plan) { p.cutAfter, p.breaks = 1+r.IntN(8), true }},
	{"taken, then the stream reset", 1, true, func(r *rand.Rand, p *plan) { p.cutAfter = 1 + r.IntN(8) }},
	{"few streams", 1, true, func(r *rand.Rand, p *plan) { p.limit = 1 + r.Uint32N(3) }},
	{"a limit of streams that shrinks", 1, true, func(r *rand.Rand, p *plan) { p.shrunk = 1 + r.Uint32N(8) }},
	{"every other stream refused", 1, true, func(_ *rand.Rand, p *plan) { p.refuse = true }},
	{"streams given back by a GOAWAY", 1, true, func(r *rand.Rand, p *plan) { p.giveBackAfter = 1 + r.IntN(10) }},
	{"GOAWAY at once", 1, true, func(r *rand.Rand, p *plan) { p.goAway = between(r, 1, 100*time.Millisecond) }},
}

const (
	// uneventful is how many connections of each round have no fault: enough for breakers to close again.
	uneventful = 14
	// reach is how far into a connection a stall may be: beyond the handshake and some requests.
	reach = 8000
)

func (p *plan) stall(r *rand.Rand, pause time.Duration) *plan {
	p.stalls, p.down, p.at, p.pause = true, r.IntN(2) == 0, r.IntN(reach), pause
	if r.IntN(2) == 0 { // handshakes are short, and a stall at each byte matters
		p.at /= 4
	}
	return p
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// deck deals plans like cards.
type deck struct {
	random *rand.Rand
	// http1 means that some of the connections speak HTTP/1.1.
	http1 bool
	cards []int // indexes of plans; -1 means no fault
}

func (d *deck) next() *plan {
	if len(d.cards) == 0 {
		d.shuffle()
	}
	card := d.cards[0]
	d.cards = d.cards[1:]
	p := &plan{name: "nothing", goAway: between(d.random, 200*time.Millisecond, 1500*time.Millisecond)}
	http1 := d.random.IntN(2) == 0
	if card >= 0 {
		p.name = plans[card].name
		plans[card].draw(d.random, p)
		http1 = http1 && !plans[card].http2
		if d.http1 && p.status == http.StatusTooManyRequests { // the devices chose the host, so the gateway would pause it for a minute
			p.status = hasToWait.status
		}
	}
	p.http1 = d.http1 && http1
	return p
}

func (d *deck) shuffle() {
	d.cards = slices.Repeat([]int{-1}, uneventful)
	for i, p := range plans {
		d.cards = append(d.cards, slices.Repeat([]int{i}, p.cards)...)
	}
	d.random.Shuffle(len(d.cards), func(i, j int) { d.cards[i], d.cards[j] = d.cards[j], d.cards[i] })
}

// rotated is the tally's name for certificates.
const rotated = "certificates, each a new one"

// tally counts the faults.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[name]++
}

// never returns the plans whose faults never happened.
func (c *tally) never() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range plans {
		if c.counts[p.name] == 0 {
			names = append(names, p.name)
		}
	}
	return names
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, p := range plans {
		fmt.Fprintf(&b, "%6d  %s\n", c.counts[p.name], p.name)
	}
	fmt.Fprintf(&b, "%6d  %s\n", c.counts[rotated], rotated)
	return b.String()
}
