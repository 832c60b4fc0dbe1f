package batched_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/batched"
)

// pipe returns both ends of a connection: a batched one, and its peer. The peer takes a byte only when it reads it.
func pipe(t *testing.T) (conn, peer net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	conn = batched.New(a)
	t.Cleanup(func() { _, _ = conn.Close(), b.Close() })
	return conn, b
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if n, err := io.WriteString(conn, text); n != len(text) || err != nil {
		t.Fatalf("wrote %d bytes of %d: %v", n, len(text), err)
	}
}

// read reads once.
func read(t *testing.T, from net.Conn) string {
	t.Helper()
	b := make([]byte, 1<<20)
	n, err := from.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// What is written while the network is busy is sent at once, after what was written before.
func TestWhatIsWrittenMeanwhileIsOneBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t)
		write(t, conn, "headers ")
		synctest.Wait() // they are on their way
		for _, s := range []string{"body ", "more headers ", "more of the body"} {
			write(t, conn, s)
		}
		for _, want := range []string{"headers ", "body more headers more of the body"} {
			if got := read(t, peer); got != want {
				t.Errorf("the network got %q, want %q", got, want)
			}
		}
	})
}

// Nothing is lost, repeated or mixed, over TCP with many writers.
func TestEverythingArrivesInOrder(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := batched.Dial(new(net.Dialer).DialContext)(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const writers, records = 16, 500
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range records {
				record := binary.BigEndian.AppendUint32(nil, uint32(w))
				record = binary.BigEndian.AppendUint32(record, uint32(i))
				record = append(record, bytes.Repeat([]byte{byte(w)}, 1000)...)
				if n, err := conn.Write(record); n != len(record) || err != nil {
					t.Errorf("wrote %d bytes: %v", n, err)
				}
			}
		})
	}
	closed := make(chan error, 1)
	go func() {
		all.Wait()
		closed <- conn.Close() // which sends the rest
	}()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	next := [writers]uint32{}
	record := make([]byte, 1008)
	for n := 0; ; n++ {
		if _, err := io.ReadFull(peer, record); err == io.EOF && n == writers*records {
			break
		} else if err != nil {
			t.Fatalf("after %d of %d records: %v", n, writers*records, err)
		}
		w, i := binary.BigEndian.Uint32(record), binary.BigEndian.Uint32(record[4:])
		if i != next[w] || !bytes.Equal(record[8:], bytes.Repeat([]byte{byte(w)}, 1000)) {
			t.Fatalf("record %d of writer %d is not the next one", i, w)
		}
		next[w]++
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A peer that reads nothing gets no more memory than the bound, and ends the connection after 10 s.
func TestAPeerThatReadsNothingEndsTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, _ := pipe(t)
		began := time.Now()
		written := 0
		var err error
		for err == nil && written < 1<<20 {
			var n int
			n, err = conn.Write(make([]byte, 1<<10))
			written += n
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		if most := 2*64<<10 + 1<<10; written > most { // the batch on its way, and the next one
			t.Errorf("%d bytes were accepted, more than %d", written, most)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 11*time.Second {
			t.Errorf("Read: %v after %s", err, time.Since(began))
		}
		if _, err := conn.Write([]byte("more")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a later Write: %v", err)
		}
	})
}

// A peer that reads slowly does not end the connection.
func TestASlowPeerGetsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t)
		const text = "slow but steady"
		write(t, conn, text)
		for i := range len(text) {
			time.Sleep(9 * time.Second)
			b := make([]byte, 1)
			if _, err := peer.Read(b); err != nil || b[0] != text[i] {
				t.Fatalf("after %d bytes: %q, %v", i, b, err)
			}
		}
		write(t, conn, "more")
		if got := read(t, peer); got != "more" {
			t.Errorf("got %q", got)
		}
	})
}

// broken is a connection that cannot be written to. It still has an answer to read.
type broken struct {
	net.Conn
	err error
}

func (b broken) Write([]byte) (int, error) { return 0, b.err }

// An answer that came before the connection broke is not lost, and the cause is the error of those who wait.
func TestAnAnswerIsReadAfterWritingFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, peer := net.Pipe()
		defer peer.Close()
		conn := batched.New(broken{a, syscall.EPIPE})
		write(t, conn, "request")
		synctest.Wait()
		go func() { _, _ = io.WriteString(peer, "answer") }()
		if got := read(t, conn); got != "answer" {
			t.Errorf("got %q", got)
		}
		began := time.Now()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.EPIPE) || time.Since(began) != time.Second {
			t.Errorf("then got %v after %s", err, time.Since(began))
		}
		if _, err := conn.Write([]byte("request")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write: %v", err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Close waits a second for a peer that reads nothing. A second Close ends that.
func TestCloseDoesNotWaitForLong(t *testing.T) {
	t.Parallel()
	for name, closings := range map[string]int{"once": 1, "twice": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn, _ := pipe(t)
				write(t, conn, "nobody reads this")
				synctest.Wait()
				began := time.Now()
				first := make(chan struct{})
				go func() {
					_ = conn.Close()
					close(first)
				}()
				synctest.Wait()
				want := time.Second
				if closings == 2 {
					_ = conn.Close()
					want = 0
				}
				<-first
				if took := time.Since(began); took != want {
					t.Errorf("Close took %s, want %s", took, want)
				}
				if _, err := conn.Write([]byte("more")); err == nil {
					t.Error("a closed connection was written to")
				}
			})
		})
	}
}

// A deadline for writing, as crypto/tls sets it before it closes a connection, does not prevent the last batch.
func TestADeadlineLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t)
		write(t, conn, "goodbye")
		synctest.Wait() // it is on its way
		if err := conn.SetWriteDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		go func() { _ = conn.Close() }()
		if got := read(t, peer); got != "goodbye" {
			t.Errorf("got %q", got)
		}
	})
}

// An error of the dial is the caller's.
func TestAFailedDialMakesNoConnection(t *testing.T) {
	t.Parallel()
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	if conn, err := batched.Dial(dial)(t.Context(), "tcp", "127.0.0.1:1"); conn != nil || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, %v", conn, err)
	}
}
