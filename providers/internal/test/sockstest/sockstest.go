// Package sockstest is a SOCKS5 proxy (RFC 1928, RFC 1929) for tests, which connects everything to one address and records the requests.
package sockstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Proxy is a SOCKS5 proxy.
type Proxy struct {
	net.Listener
	target string

	mu    sync.Mutex
	asked []string
	conns []net.Conn
	group sync.WaitGroup
}

// New starts a proxy that connects to an address.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	ctx := t.Context()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Listener: l, target: target}
	p.group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.keep(conn)
			p.group.Go(func() {
				defer conn.Close()
				if err := p.serve(ctx, conn); err != nil {
					p.note(err.Error())
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

// Asked returns what each client requested: "name" or "address" and the destination, after "user:password" if it logged in.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *Proxy) note(asked string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, asked)
}

func (p *Proxy) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
}

func (p *Proxy) serve(ctx context.Context, conn net.Conn) error {
	user, err := logIn(conn)
	if err != nil {
		return err
	}
	asked, err := request(conn)
	if err != nil {
		return err
	}
	p.note(user + asked)
	server, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
	if err != nil {
		_, _ = conn.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0}) // connection refused
		return nil
	}
	defer server.Close()
	p.keep(server)
	if _, err := conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	p.group.Go(func() {
		_, _ = io.Copy(server, conn)
		_ = server.Close()
	})
	_, _ = io.Copy(conn, server)
	return nil
}

// logIn agrees on a method, and lets clients log in if they can.
func logIn(conn net.Conn) (user string, err error) {
	methods, err := counted(conn, 1)
	if err != nil {
		return "", err
	}
	const userAndPassword = 2
	for _, m := range methods {
		if m != userAndPassword {
			continue
		}
		if _, err := conn.Write([]byte{5, userAndPassword}); err != nil {
			return "", err
		}
		name, err := counted(conn, 1)
		if err != nil {
			return "", err
		}
		password, err := counted(conn, 0)
		if err != nil {
			return "", err
		}
		_, err = conn.Write([]byte{1, 0})
		return fmt.Sprintf("%s:%s ", name, password), err
	}
	_, err = conn.Write([]byte{5, 0})
	return "", err
}

// request reads the destination that a client requests.
func request(conn net.Conn) (string, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "", err
	}
	var kind, host string
	switch head[3] {
	case 1, 4:
		ip := make(net.IP, map[byte]int{1: net.IPv4len, 4: net.IPv6len}[head[3]])
		if _, err := io.ReadFull(conn, ip); err != nil {
			return "", err
		}
		kind, host = "address", ip.String()
	case 3:
		name, err := counted(conn, 0)
		if err != nil {
			return "", err
		}
		kind, host = "name", string(name)
	default:
		return "", errors.New("an address of no kind")
	}
	port := make([]byte, 2)
	if _, err := io.ReadFull(conn, port); err != nil {
		return "", err
	}
	return kind + " " + net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port)))), nil
}

// counted reads bytes preceded by their number.
func counted(conn net.Conn, before int) ([]byte, error) {
	head := make([]byte, before+1)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, err
	}
	list := make([]byte, head[before])
	_, err := io.ReadFull(conn, list)
	return list, err
}
