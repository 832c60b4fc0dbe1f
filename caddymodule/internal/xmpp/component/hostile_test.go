package component

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// tenMB is larger than any limit.
const tenMB = 10 << 20

// hostile are streams, from the first byte or after the handshake, that must end the stream. Each has the reason, and the condition that
// the server gets.
var hostile = map[string]struct {
	before bool // in place of the header
	xml    string
	reason string
	tell   string
}{
	"10 MB in one stanza":          {xml: "<message><body>" + strings.Repeat("x", tenMB), reason: TooLarge, tell: "policy-violation"},
	"10 MB in one attribute":       {xml: "<message id='" + strings.Repeat("x", tenMB), reason: TooLarge, tell: "policy-violation"},
	"10 MB in one name":            {xml: "<" + strings.Repeat("x", tenMB), reason: TooLarge, tell: "policy-violation"},
	"10 MB of attributes":          {xml: "<iq " + strings.Repeat("a='' ", tenMB/5), reason: TooLarge, tell: "policy-violation"},
	"10 MB of elements":            {xml: "<iq>" + strings.Repeat("<a/>", tenMB/4), reason: TooLarge, tell: "policy-violation"},
	"100,000 levels":               {xml: strings.Repeat("<iq>", 100_000), reason: TooDeep, tell: "policy-violation"},
	"a DTD":                        {xml: "<!DOCTYPE iq [<!ENTITY a 'b'>]><iq/>", reason: Restricted, tell: "restricted-xml"},
	"a DTD of 10 MB":               {xml: "<!DOCTYPE " + strings.Repeat("x", tenMB), reason: TooLarge, tell: "policy-violation"},
	"a comment":                    {xml: "<!-- canary -->", reason: Restricted, tell: "restricted-xml"},
	"a comment in a stanza":        {xml: "<iq><!-- canary --></iq>", reason: Restricted, tell: "restricted-xml"},
	"a processing instruction":     {xml: "<?canary canary?>", reason: Restricted, tell: "restricted-xml"},
	"a second declaration":         {xml: "<?xml version='1.0' encoding='canary'?>", reason: Malformed, tell: "not-well-formed"},
	"an entity":                    {xml: "<iq>&canary;</iq>", reason: Malformed, tell: "not-well-formed"},
	"half a stanza, then silence":  {xml: "<iq><canary", reason: Timeout},
	"invalid UTF-8":                {xml: "<iq>\xff\xfe</iq>", reason: Malformed, tell: "not-well-formed"},
	"a wrong closing tag":          {xml: "<iq></canary>", reason: Malformed, tell: "not-well-formed"},
	"a forbidden character":        {xml: "<iq>&#0;</iq>", reason: Malformed, tell: "not-well-formed"},
	"text between stanzas":         {xml: "<iq/>canary", reason: Malformed, tell: "bad-format"},
	"the end":                      {xml: "</stream:stream>", reason: Closed},
	"a second root":                {xml: "</stream:stream><stream:stream>", reason: Closed},
	"another protocol":             {before: true, xml: "HTTP/1.1 400 Bad Request\r\n\r\n", reason: NotXMPP, tell: "bad-format"},
	"a stream for clients":         {before: true, xml: "<stream:stream xmlns='jabber:client' xmlns:stream='" + streams + "' id='1'>", reason: NotXMPP, tell: "invalid-namespace"},
	"another root":                 {before: true, xml: "<stream xmlns='" + Namespace + "' id='1'>", reason: NotXMPP, tell: "invalid-namespace"},
	"a header with a DTD":          {before: true, xml: "<?xml version='1.0'?><!DOCTYPE a><stream:stream>", reason: NotXMPP, tell: "restricted-xml"},
	"a header of 10 MB":            {before: true, xml: "<stream:stream id='" + strings.Repeat("x", tenMB), reason: NotXMPP, tell: "policy-violation"},
	"another encoding":             {before: true, xml: "<?xml version='1.0' encoding='UTF-16'?><a/>", reason: NotXMPP, tell: "not-well-formed"},
	"nothing at all":               {before: true, xml: "", reason: Timeout},
	"half a header, then silence":  {before: true, xml: "<stream:stream xmlns", reason: Timeout},
	"a header, and then silence":   {before: true, xml: header, reason: Timeout},
	"a header, and then the end":   {before: true, xml: header + "</stream:stream>", reason: Closed},
	"a header without an id":       {before: true, xml: strings.Replace(header, "id='1'", "", 1), reason: Timeout},
	"white space for a long while": {before: true, xml: header + strings.Repeat(" ", tenMB), reason: Timeout},
}

const header = "<?xml version='1.0'?><stream:stream xmlns='" + Namespace + "' xmlns:stream='" + streams + "' id='1'>"

func TestX33_AHostileStreamEndsAndIsOpenedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := xmpptest.NewServer(t, xmpptest.Prosody)
				attacker := &attack{server: s, xml: c.xml, before: c.before, told: make(chan string, 1)}
				r := run(t, s, echo, Options{dial: attacker.dial})
				if !c.before {
					<-r.up
				}
				f := r.failure(0)
				if f.Reason != c.reason || f.Online == c.before {
					t.Errorf("got %+v", f)
				}
				if strings.Contains(f.Err.Error(), "canary") {
					t.Errorf("the error quotes the server: %v", f.Err)
				}
				want := closing
				if c.tell != "" {
					want = "<stream:error><" + c.tell + " xmlns='" + errorNS + "'/></stream:error>" + closing
				}
				if told := <-attacker.told; !strings.HasSuffix(told, want) {
					t.Errorf("the server was sent %q", told)
				}
				if attacker.sent > defaultMaxStanza+8<<10 && !strings.HasPrefix(name, "white space") {
					t.Errorf("%d bytes were read", attacker.sent)
				}
				<-r.up
			})
		})
	}
}

// attack is a server whose first stream is hostile.
type attack struct {
	server *xmpptest.Server
	xml    string
	before bool
	begun  bool
	sent   int
	told   chan string // written after sent: what the component sent on that stream
}

func (a *attack) dial(ctx context.Context) (net.Conn, error) {
	if a.begun {
		return a.server.Dial(ctx)
	}
	a.begun = true
	client, conn := net.Pipe()
	var sending sync.WaitGroup
	sending.Go(func() {
		if !a.before {
			_, _ = io.WriteString(conn, header+"<handshake/>")
		}
		a.sent, _ = io.WriteString(conn, a.xml)
	})
	go func() {
		told, _ := io.ReadAll(conn)
		_ = conn.Close()
		sending.Wait()
		a.told <- string(told)
	}()
	return client, nil
}

// This test is not parallel, so the memory is only its own.
func TestX33_AHostileStreamNeedsLittleMemory(t *testing.T) { //nolint:paralleltest // see above
	for name, c := range hostile {
		if c.before || len(c.xml) < 100_000 {
			continue
		}
		s := newScanner(strings.NewReader(header+c.xml), defaultMaxStanza)
		if _, err := s.header(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for {
			if _, err := s.next(func() {}); err != nil {
				break
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 5<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
}

func TestX33_AnElementThatIsNotAStanzaIsIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		r := run(t, s, echo, Options{})
		stream := s.Accept()
		_ = stream.Send("<iq xmlns='jabber:client' id='1' from='a' to='b'/><r xmlns='urn:xmpp:sm:3'/><query/><x:iq xmlns:x='urn:x'/>" +
			"<stream:features/><a xmlns='" + errorNS + "'/>")
		_ = stream.Send(request("2"))
		if e := <-stream.Received; e.Attr("id") != "2" {
			t.Errorf("got %+v", e)
		}
		if r.ignored != 6 {
			t.Errorf("%d elements were ignored", r.ignored)
		}
	})
}

func TestAStreamWithoutAnIDGetsNoHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		attacker := &attack{server: s, xml: strings.Replace(header, "id='1'", "id=''", 1), before: true, told: make(chan string, 1)}
		run(t, s, echo, Options{dial: attacker.dial})
		if told := <-attacker.told; strings.Contains(told, "<handshake>") {
			t.Errorf("the server was sent %q", told)
		}
	})
}

func TestAStanzaArrivesByteForByte(t *testing.T) {
	t.Parallel()
	stanzas := []string{"<iq/>", "<message  a = '1'><b xmlns='c'>&lt;\r\n</b></message>", "<presence>é<![CDATA[<]]></presence>"}
	s := newScanner(oneByte{strings.NewReader(header + " \r\n" + strings.Join(stanzas, "\t"))}, defaultMaxStanza)
	if id, err := s.header(); err != nil || id != "1" {
		t.Fatal(id, err)
	}
	for _, want := range stanzas {
		if e, err := s.next(func() {}); err != nil || string(e.raw) != want {
			t.Errorf("got %v and %v for %q", e, err, want)
		}
	}
	if _, err := s.next(func() {}); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

// oneByte reads a single byte at a time.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }
