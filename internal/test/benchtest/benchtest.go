// Package benchtest measures what a push costs the gateway. The push service is a separate process, so its
// work does not count.
package benchtest

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// childKey is the environment variable that makes a test binary the server, and names the folder of its certificate.
const childKey = "MATRIX_PUSH_BENCHTEST_CHILD"

const (
	certificateFile = "certificate.pem"
	keyFile         = "key.pem"
)

// Serve answers with the handler in the process that [Start] started, and does not return there. TestMain must call it first.
func Serve(handler http.Handler) {
	dir := os.Getenv(childKey)
	if dir == "" {
		return
	}
	if err := serve(dir, handler); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve writes its address to the standard output. It serves until the standard input ends, which happens when the parent ends.
func serve(dir string, handler http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it waits for nothing
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	fmt.Println(listener.Addr())
	err = server.ServeTLS(listener, filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Server is an HTTPS server with HTTP/2 in another process, which answers with the handler given to [Serve].
type Server struct {
	// URL is the server's origin, https://127.0.0.1:<port>.
	URL string
	// CA signed the server's certificate.
	CA *providertest.CA
}

// Start starts the server, which ends with the benchmark.
func Start(b *testing.B) *Server {
	b.Helper()
	ca, dir := providertest.NewCA(b), b.TempDir()
	certify(b, ca, dir)
	child := exec.CommandContext(b.Context(), os.Args[0]) //nolint:gosec // this binary again
	child.Env = append(os.Environ(), childKey+"="+dir)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = child.Wait() // if it does not end, the context has killed it by now
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &Server{URL: "https://" + strings.TrimSpace(address), CA: ca}
}

// certify writes the server's certificate and key into files.
func certify(b *testing.B, ca *providertest.CA, dir string) {
	b.Helper()
	certificate := ca.Certificate(b, "127.0.0.1")
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		b.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certificateFile: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		keyFile:         {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// inFlight is how many pushes are in flight for each CPU.
const inFlight = 16

// Run calls do b.N times, many at a time. It reports the CPU time that this process used for each call, including the garbage collector's. An
// error fails the benchmark.
func Run(b *testing.B, do func() error) {
	b.Helper()
	if err := do(); err != nil { // opens the connection and gets the token
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(inFlight)
	b.ResetTimer()
	before := cpu()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := do(); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}
