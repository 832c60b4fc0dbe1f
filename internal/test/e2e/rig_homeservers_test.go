package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// poster is a homeserver, or a client that posts in its place. It has the headers of its requests, and how it reads an answer.
type poster struct {
	// head has the headers besides Host and Content-Length.
	head []string
	// closes means that it opens a connection for each request.
	closes bool
	// http2 means that it speaks HTTP/2 with a server that supports it.
	http2 bool
	// reads returns the pushkeys that it considers rejected.
	reads func(status int, body []byte) ([]string, error)
}

// posters has the senders of the corpus. Its README names the sources.
var posters = map[string]poster{
	"synapse": {
		head:  []string{"User-Agent: Synapse/1.136.0", "Content-Type: application/json", "Accept: application/json"},
		reads: readsAsSynapse,
	},
	"dendrite": {
		head:   []string{"User-Agent: Go-http-client/1.1", "Content-Type: application/json", "Accept-Encoding: gzip", "Connection: close"},
		closes: true,
		reads:  readsAsDendrite,
	},
	"continuwuity": {head: []string{"content-type: application/json", "user-agent: continuwuity/0.5.0", "accept: */*"}, reads: readsAsRuma},
	"tuwunel":      {head: []string{"content-type: application/json", "user-agent: Tuwunel/1.4.0", "accept: */*"}, reads: readsAsRuma},
	"construct":    {head: []string{"Content-Type: application/json; charset=utf-8"}, reads: readsAsSynapse}, // it reads no answers; this is how it would
	"beeper": {
		head:  []string{"User-Agent: mautrix-go/0.25.0 go/1.25 (notification pusher)", "Content-Type: application/json", "Accept-Encoding: gzip"},
		http2: true,
		reads: readsAsMautrix,
	},
	"element_android": {
		head:  []string{"User-Agent: Element/1.6.44", "Content-Type: application/json; charset=UTF-8", "Accept-Encoding: gzip", "Connection: Keep-Alive"},
		reads: readsAsRuma,
	},
	"element_x_android": {
		head:  []string{"User-Agent: Element X/25.11.0", "Content-Type: application/json; charset=utf-8", "Accept-Encoding: gzip"},
		http2: true,
		reads: readsAsRuma,
	},
	"element_ios": {head: []string{"User-Agent: Riot/1.11.32", "Content-Type: application/json", "Accept: */*", "Accept-Language: de-DE"}, reads: readsAsSynapse},
}

// readsAsSynapse accepts any 2xx with a JSON object that has a list.
func readsAsSynapse(status int, body []byte) (rejected []string, err error) {
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil || status/100 != 2 {
		return nil, fmt.Errorf("%d %w", status, err)
	}
	list, ok := answer["rejected"].([]any)
	if !ok {
		return nil, errors.New("rejected is not a list")
	}
	for _, v := range list {
		pushkey, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("it rejects %v", v)
		}
		rejected = append(rejected, pushkey)
	}
	return rejected, nil
}

// readsAsDendrite accepts only a 200.
func readsAsDendrite(status int, body []byte) ([]string, error) {
	if status != http.StatusOK {
		return nil, fmt.Errorf("it is a %d", status)
	}
	return readsAsMautrix(status, body)
}

// readsAsMautrix accepts any 2xx with JSON.
func readsAsMautrix(status int, body []byte) ([]string, error) {
	var answer struct {
		Rejected []string `json:"rejected"`
	}
	if status/100 != 2 {
		return nil, fmt.Errorf("it is a %d", status)
	}
	return answer.Rejected, json.Unmarshal(body, &answer)
}

// readsAsRuma requires the list, because its type is not an Option.
func readsAsRuma(status int, body []byte) ([]string, error) {
	var answer struct {
		Rejected *[]string `json:"rejected"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || status/100 != 2 || answer.Rejected == nil {
		return nil, fmt.Errorf("a %d without rejected: %w", status, err)
	}
	return *answer.Rejected, nil
}

// postal is a gateway with all providers, with the posters' connections to it.
type postal struct {
	t       *testing.T
	apple   *apple
	google  *google
	service *pushServer
	gateway *process
	http2   *http.Client
	kept    map[string]*rawConn
}

func newPostal(t *testing.T) *postal {
	t.Helper()
	a, g, s := newApple(t), newGoogle(t), newPushServer(t)
	gateway := startGateway(t, stateless+s.global(s.moreUp("org.example.up.full", "content full\nwait 20s"))+
		a.app("org.example.ios", "", "")+a.app("org.example.ios.full", "", "content full")+
		g.app("org.example.android", "", "")+g.app("org.example.android.full", "", "content full"), "matrix_push")
	return &postal{t, a, g, s, gateway, gateway.client(true), make(map[string]*rawConn)}
}

// post makes the request as this server does. The server keeps its connection for the next request, unless it closes connections.
func (w *postal) post(t *testing.T, server string, body []byte) reply {
	t.Helper()
	p, ok := posters[server]
	if !ok {
		t.Fatalf("there is no poster for %s", server)
	}
	if p.http2 {
		return w.postHTTP2(t, p, body)
	}
	conn := w.kept[server]
	if conn == nil || p.closes {
		conn = w.gateway.raw(w.t) // it outlives the subtest
		w.kept[server] = conn
	}
	conn.t = t
	conn.send(w.gateway.whole(string(body), p.head...))
	r := conn.answer()
	if p.closes {
		if _, err := conn.answers.Peek(1); !errors.Is(err, io.EOF) {
			t.Errorf("the connection is not closed: %v", err)
		}
	}
	return r
}

func (w *postal) postHTTP2(t *testing.T, p poster, body []byte) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.gateway.url(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range p.head {
		name, value, _ := strings.Cut(field, ": ")
		req.Header.Set(name, value)
	}
	resp, err := w.http2.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatalf("answered with %s: %v", resp.Proto, err)
	}
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(answer)}
}
