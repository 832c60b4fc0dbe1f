package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are those of the command line.
type options struct {
	Provider    string
	Body        string
	Devices     int
	Population  int
	Hosts       int
	Latency     time.Duration
	Errors      float64
	Connections int
	Concurrency int
	HTTP2       bool
	Rate        rate
	Warmup      time.Duration
	Duration    time.Duration
	Pairs       int
	Sweep       bool
	Burst       int
	Idle        int
	Records     int
	Plot        string
	// RecordsFile is the rejected store that the gateway starts with. If it is empty, each gateway starts with a new store.
	RecordsFile string
	// RecordsFolder is where RecordsFile is made. If it is empty, it is the user's cache folder.
	RecordsFolder string
	// Device has members that each device gets, as JSON.
	Device string
	// URL is where another gateway takes notifications. If it is nil, the gateway of this program is measured.
	URL *url.URL
	// Listen is the first port of the other gateway's push service. Files is the folder for what that gateway needs. PID is its process.
	Listen int
	Files  string
	PID    int
	// The sides of each pair.
	Gateway, Against variant

	progress *progress
	peer     *peer
}

// variant is a server under test.
type variant struct {
	Name string
	// Program is the path of another build of this program, whose gateway is the server. If it is empty, the gateway of this build is.
	Program string
	// Other means another gateway, which somebody else has started. It has no options.
	Other bool
	// Floor means the bare handler. The other options are for the gateway.
	Floor bool
	// Plain means HTTP without TLS.
	Plain bool
	// XMPP means that pushes come by XMPP, over one component's stream, and not by HTTP.
	XMPP   bool
	Wait   time.Duration
	Outbox string
	// Content is the gateway's content. If it is empty, it is the provider's default.
	Content string
	// GOMAXPROCS is how many CPUs the server may use. 0 means all.
	GOMAXPROCS int
}

// rate is how many notifications a second are sent: a number, or a share of the gateway's throughput in a closed loop. Zero means a closed
// loop.
type rate struct {
	Number float64
	Share  bool
}

// Set reads a flag's value.
func (r *rate) Set(text string) error {
	number, share := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0) || n > 1e6 {
		return errors.New("neither a number of notifications a second nor a percentage")
	}
	*r = rate{n, share}
	return nil
}

// String returns the text that Set reads.
func (r *rate) String() string {
	text := strconv.FormatFloat(r.Number, 'g', -1, 64)
	if r.Share {
		text += "%"
	}
	return text
}

// parse reads the command line.
func parse(args []string, usage io.Writer) (*options, error) {
	o, against := new(options), ""
	f := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.Provider, "provider", "apns", strings.Join(providerNames, ", ")+" (the answer for a stored rejection)")
	f.StringVar(&o.Body, "body", "text", "kind of notification: "+strings.Join(shapes, ", "))
	f.IntVar(&o.Devices, "devices", 1, "devices in each notification")
	f.IntVar(&o.Population, "population", 0, "number of different devices (default 1000; 100000 with -xmpp, so no push is coalesced)")
	f.IntVar(&o.Hosts, "hosts", 4, "hosts of push services, for unifiedpush and webpush")
	f.DurationVar(&o.Latency, "latency", 20*time.Millisecond, "how long the push service takes to answer")
	f.Float64Var(&o.Errors, "errors", 0, "share of pushes that the push service answers with 503, 0 to 1")
	f.IntVar(&o.Concurrency, "concurrency", 64, "maximum number of notifications in flight")
	f.IntVar(&o.Connections, "connections", 0, "connections of homeservers (default: as many as in flight; 8 with HTTP/2)")
	f.BoolVar(&o.Gateway.XMPP, "xmpp", false, "the gateway gets the pushes by XMPP, over one component's stream; for fcm and unifiedpush")
	f.BoolVar(&o.HTTP2, "http2", false, "homeservers speak HTTP/2 instead of HTTP/1.1 with keep-alive")
	f.Var(&o.Rate, "rate", "notifications a second, or a share such as `50%` of the throughput of a closed loop; 0 is a closed loop (default 0)")
	f.DurationVar(&o.Warmup, "warmup", 2*time.Second, "length of the warm-up before each measurement")
	f.DurationVar(&o.Duration, "duration", 5*time.Second, "length of each measurement")
	f.IntVar(&o.Pairs, "pairs", 5, "pairs of measurements; each side starts every other pair")
	f.BoolVar(&o.Sweep, "sweep", false, "measure latency at rates from 10% to 120% of the gateway's throughput in a closed loop")
	f.IntVar(&o.Burst, "burst", 0, "send this many notifications at once instead, on open connections, to a server that has sent no push yet")
	f.IntVar(&o.Records, "records", 0, "records in the gateway's rejected store at its start; also measures the time to its first answer")
	f.IntVar(&o.Idle, "idle", 0, "measure the memory of this many idle connections instead")
	f.StringVar(&o.Plot, "plot", "", "draw latency against load into this SVG `file`; implies -sweep")
	f.DurationVar(&o.Gateway.Wait, "wait", 5*time.Second, "the gateway's wait; 0 answers before the push")
	f.StringVar(&o.Gateway.Outbox, "outbox", "file", "the gateway's outbox: file or off")
	f.StringVar(&o.Gateway.Content, "content", "", "the gateway's content: event_id_only or full (default: the provider's)")
	f.IntVar(&o.Gateway.GOMAXPROCS, "gomaxprocs", 0, "CPUs for the server under test (default all)")
	f.StringVar(&against, "against", "", "what to compare with: floor, gateway, http (the gateway without -xmpp), the gateway with other\n"+
		"options such as wait=5s,outbox=off,content=full,gomaxprocs=1, or the `path` of this program built from another\n"+
		"commit (default floor; with -url, gateway)")
	f.StringVar(&o.Device, "device", "", "members that each device has in addition, as a JSON `object`")
	o.peerFlags(f)
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: there are only flags", f.Arg(0))
	}
	if err := errors.Join(o.checkPeer(f), o.checkBurst(f)); err != nil {
		return nil, err
	}
	return o, o.complete(against)
}

// complete checks the options and fills in those that depend on others.
func (o *options) complete(against string) error {
	o.Gateway.Name = "gateway"
	o.Sweep = o.Sweep || o.Plot != ""
	if o.Connections == 0 {
		o.Connections = o.Concurrency
		if o.HTTP2 {
			o.Connections = min(8, o.Concurrency)
		}
	}
	if o.Population == 0 {
		o.Population = 1000
		if o.Gateway.XMPP {
			o.Population = 100_000
		}
	}
	if against == "" {
		against = "floor"
		if o.URL != nil {
			against = o.Gateway.Name
		}
	}
	var err error
	if o.Against, err = o.Gateway.other(against); err != nil {
		return fmt.Errorf("-against: %w", err)
	}
	for _, wrong := range []struct {
		is   bool
		text string
	}{
		{!slices.Contains(providerNames, o.Provider), "-provider must be one of " + strings.Join(providerNames, ", ")},
		{!slices.Contains(shapes, o.Body), "-body must be one of " + strings.Join(shapes, ", ")},
		{o.Devices < 1 || o.Devices > 100, "-devices must be from 1 to 100"},
		{o.Population < o.Devices, "-population is less than -devices"},
		{o.Hosts < 1 || o.Hosts > 100, "-hosts must be from 1 to 100"},
		{o.Latency < 0, "-latency is negative"},
		{!(o.Errors >= 0 && o.Errors <= 1), "-errors must be from 0 to 1"},
		{o.Concurrency < 1, "-concurrency is less than 1"},
		{!o.HTTP2 && o.Connections < o.Concurrency, "-connections is less than -concurrency, but HTTP/1.1 has only one request at a time on each"},
		{o.HTTP2 && o.Connections < 1, "-connections is less than 1"},
		{o.Duration <= 0 || o.Warmup <= 0, "-duration and -warmup must be more than 0"},
		{o.Pairs < 1, "-pairs is less than 1"},
		{o.Gateway.XMPP && o.Provider != fcm && o.Provider != unifiedpush, "-xmpp needs -provider fcm or unifiedpush"},
		{o.Gateway.XMPP && (o.Devices > 1 || o.Idle > 0), "-xmpp has one device in each push, so it excludes -devices; it also excludes -idle"},
		{o.Idle < 0, "-idle is negative"},
		{o.Records < 0, "-records is negative"},
		{o.Records > 0 && (o.Sweep || o.Idle > 0), "-records measures the start of each pair, so it excludes -sweep and -idle"},
	} {
		if wrong.is {
			return errors.New(wrong.text)
		}
	}
	if o.Device != "" {
		if _, err := withMembers("{}", o.Device); err != nil {
			return fmt.Errorf("-device is not a JSON object: %w", err)
		}
	}
	if err := errors.Join(o.Gateway.check(), o.Against.check()); err != nil || o.URL == nil {
		return err
	}
	o.Gateway, o.Against.Plain = variant{Name: "other gateway", Other: true}, o.URL.Scheme == "http"
	return nil
}

// other returns what the gateway is compared with.
func (v variant) other(text string) (variant, error) {
	v.Name = text
	switch {
	case text == "floor", text == "http":
		v.Floor, v.XMPP = text == "floor", false
		return v, nil
	case text == "gateway":
		return v, nil
	case namesProgram(text):
		var err error
		v.Program, err = findProgram(text)
		return v, err
	}
	for option := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(option, "=")
		var err error
		switch name {
		case "wait":
			v.Wait, err = time.ParseDuration(value)
		case "outbox":
			v.Outbox = value
		case "content":
			v.Content = value
		case "gomaxprocs":
			v.GOMAXPROCS, err = strconv.Atoi(value)
		default:
			err = errors.New("the options are wait, outbox, content and gomaxprocs")
		}
		if err != nil {
			return v, fmt.Errorf("%s: %w", option, err)
		}
	}
	return v, nil
}

func (v variant) check() error {
	switch {
	case v.Wait < 0 || v.Wait > 25*time.Second:
		return errors.New("wait must be from 0 to 25s")
	case v.Outbox != "file" && v.Outbox != "off":
		return errors.New("outbox must be file or off")
	case v.Wait == 0 && v.Outbox == "off":
		return errors.New("wait 0 needs an outbox")
	case v.Content != "" && v.Content != "event_id_only" && v.Content != "full":
		return errors.New("content must be event_id_only or full")
	case v.Content != "" && v.Floor:
		return errors.New("the floor sends what the gateway sends by default, so -against floor excludes -content")
	case v.GOMAXPROCS < 0:
		return errors.New("gomaxprocs is negative")
	}
	return nil
}
