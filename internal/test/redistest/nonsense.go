package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Nonsense starts a server that lets clients connect and check it like a Redis, and has one answer for everything else, which need not be in
// Redis' protocol. It returns the server's URL.
func Nonsense(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		serving sync.WaitGroup
		mu      sync.Mutex
		conns   []net.Conn
	)
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Go(func() { answerAll(conn, answer) })
		}
	})
	return "redis://" + l.Addr().String()
}

// answerAll answers a connection's commands until it ends, and ends it after an empty answer.
func answerAll(conn net.Conn, answer string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		reply := answer
		switch strings.ToUpper(command) {
		case "HELLO":
			reply = "-ERR unknown command\r\n"
		case "INFO":
			reply = "-NOPERM\r\n"
		case "EVAL": // the trial at the start; the other scripts begin with EVALSHA
			if !strings.HasPrefix(answer, "-") {
				reply = ":1\r\n"
			}
		case "CLIENT":
			reply = "+OK\r\n"
		case "PING":
			reply = "+PONG\r\n"
		}
		if _, err := io.WriteString(conn, reply); err != nil || reply == "" {
			return
		}
	}
}

// readCommand reads a command with its arguments, and returns its name.
func readCommand(r *bufio.Reader) (name string, err error) {
	var words int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &words); err != nil {
		return "", err
	}
	for i := range words {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return "", err
		}
		word := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, word); err != nil {
			return "", err
		}
		if i == 0 {
			name = string(word[:size])
		}
	}
	return name, nil
}
