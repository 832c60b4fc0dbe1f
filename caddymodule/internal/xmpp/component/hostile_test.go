package component

import (
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// Both are larger than any limit.
const (
	oneMB = 1 << 20
	tenMB = 10 << 20
)

// hostile are streams, from the first byte or after the handshake, that must end the stream. Each has the reason, and the condition that
// the server gets.
var hostile = map[string]struct {
	before bool // in place of the header
	xml    string
	reason string
	tell   string
}{
	"a DTD":                        {xml: "<!DOCTYPE iq [<!ENTITY a 'b'>]><iq/>", reason: Restricted, tell: "restricted-xml"},
	"a DTD of 1 MB":                {xml: "<!DOCTYPE " + strings.Repeat("x", oneMB), reason: Restricted, tell: "restricted-xml"},
	"a comment":                    {xml: "<!-- canary -->", reason: Restricted, tell: "restricted-xml"},
	"a comment in a stanza":        {xml: "<iq><!-- canary --></iq>", reason: Restricted, tell: "restricted-xml"},
	"a processing instruction":     {xml: "<?canary canary?>", reason: Restricted, tell: "restricted-xml"},
	"a second declaration":         {xml: "<?xml version='1.0' encoding='canary'?>", reason: Restricted, tell: "restricted-xml"},
	"half a stanza, then silence":  {xml: "<iq><canary", reason: Timeout},
	"text between stanzas":         {xml: "<iq/>canary", reason: Malformed, tell: "bad-format"},
	"the end":                      {xml: "</stream:stream>", reason: Closed},
	"a second root":                {xml: "</stream:stream><stream:stream>", reason: Closed},
	"another protocol":             {before: true, xml: "HTTP/1.1 400 Bad Request\r\n\r\n", reason: NotXMPP, tell: "bad-format"},
	"a stream for clients":         {before: true, xml: "<stream:stream xmlns='jabber:client' xmlns:stream='" + streams + "' id='1'>", reason: NotXMPP, tell: "invalid-namespace"},
	"another root":                 {before: true, xml: "<stream xmlns='" + Namespace + "' id='1'>", reason: NotXMPP, tell: "invalid-namespace"},
	"a header with a DTD":          {before: true, xml: "<?xml version='1.0'?><!DOCTYPE a><stream:stream>", reason: NotXMPP, tell: "restricted-xml"},
	"a header of 1 MB":             {before: true, xml: "<stream:stream id='" + strings.Repeat("x", oneMB) + "'>", reason: NotXMPP, tell: "not-well-formed"},
	"another encoding":             {before: true, xml: "<?xml version='1.0' encoding='UTF-16'?><a/>", reason: NotXMPP, tell: "not-well-formed"},
	"nothing at all":               {before: true, xml: "", reason: Timeout},
	"half a header, then silence":  {before: true, xml: "<stream:stream xmlns", reason: Timeout},
	"a header, and then silence":   {before: true, xml: header, reason: Timeout},
	"a header, and then the end":   {before: true, xml: header + "</stream:stream>", reason: Closed},
	"a header without an id":       {before: true, xml: strings.Replace(header, "id='1'", "", 1), reason: Timeout},
	"white space for a long while": {before: true, xml: header + strings.Repeat(" ", oneMB), reason: Timeout},
}

// skipped are elements that must not end the stream, because anybody can make a server send them.
var skipped = map[string]struct{ xml, reason string }{
	"10 MB in one stanza":   {"<message><body>" + strings.Repeat("x", tenMB) + "</body></message>", TooLarge},
	"1 MB in one attribute": {"<message id='" + strings.Repeat("x", oneMB) + "'/>", TooLarge},
	"1 MB in one name":      {"<" + strings.Repeat("x", oneMB) + "/>", TooLarge},
	"1 MB of attributes":    {"<iq " + strings.Repeat("a='' ", oneMB/5) + "/>", TooLarge},
	"1 MB of elements":      {"<iq>" + strings.Repeat("<a/>", oneMB/4) + "</iq>", TooLarge},
	"100,000 levels":        {strings.Repeat("<iq>", 100_000) + strings.Repeat("</iq>", 100_000), TooDeep},
	"1 MB of CDATA":         {"<iq><![CDATA[" + strings.Repeat("]>", oneMB/2) + "]]></iq>", TooLarge},
	"a tag in a value":      {"<iq a='</iq>' b=\"'<iq>\"/>", Malformed},
	"no name":               {"<iq><></></iq>", Malformed},
	"an entity":             {"<iq>&canary;</iq>", Malformed},
	"invalid UTF-8":         {"<iq>\xff\xfe</iq>", Malformed},
	"a wrong closing tag":   {"<iq></canary>", Malformed},
	"a forbidden character": {"<iq>&#0;</iq>", Malformed},
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
	told   chan string // what the component sent on that stream
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
		_, _ = io.WriteString(conn, a.xml)
	})
	go func() {
		told, _ := io.ReadAll(conn)
		_ = conn.Close()
		sending.Wait()
		a.told <- string(told)
	}()
	return client, nil
}

func TestX33_AStanzaOfAStrangerDoesNotEndTheStream(t *testing.T) {
	t.Parallel()
	for name, c := range skipped {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := xmpptest.NewServer(t, xmpptest.Prosody)
				r := run(t, s, echo, Options{})
				stream := s.Accept()
				_ = stream.Send(c.xml + request("next"))
				if e, ok := <-stream.Received; !ok || e.Attr("id") != "next" {
					t.Errorf("got %+v; the stream ended with %+v", e, r.all())
				}
				if len(r.ignored) != 1 || r.ignored[0] != c.reason {
					t.Errorf("ignored: %q", r.ignored)
				}
			})
		})
	}
}

// This test is not parallel, so the memory is only its own.
func TestX33_AHostileStreamNeedsLittleMemory(t *testing.T) { //nolint:paralleltest // see above
	streams := make(map[string]string)
	for name, c := range skipped {
		streams[name] = header + c.xml
	}
	for name, c := range hostile {
		streams[name] = c.xml
		if !c.before {
			streams[name] = header + c.xml
		}
	}
	for name, stream := range streams {
		s := newScanner(strings.NewReader(stream), defaultMaxStanza)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := s.header()
		for err == nil {
			_, err = s.next(func() {})
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
		if want := slices.Repeat([]string{NotStanza}, 6); !slices.Equal(r.ignored, want) {
			t.Errorf("ignored: %q", r.ignored)
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
	stanzas := []string{"<iq/>", "<message  a = '1'><b xmlns='c'>&lt;\r\n</b></message>", "<presence>é<![CDATA[</presence>]><]]]></presence>"}
	s := newScanner(oneByte{strings.NewReader(header + " \r\n" + strings.Join(stanzas, "\t"))}, defaultMaxStanza)
	if id, err := s.header(); err != nil || id != "1" {
		t.Fatal(id, err)
	}
	for _, want := range stanzas {
		if e, err := s.next(func() {}); err != nil || string(e.raw) != want {
			t.Errorf("got %v and %v for %q", e, err, want)
		}
	}
	if _, err := s.next(func() {}); failureOf(err).Reason != Closed {
		t.Errorf("got %v", err)
	}
}

// oneByte reads a single byte at a time.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }
