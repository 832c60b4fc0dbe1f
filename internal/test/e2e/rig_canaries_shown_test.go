package e2e

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// shown is a transport to the admin API that keeps the answers, such as metrics and the configuration. They are searched like a log.
type shown struct {
	*http.Transport

	mu   sync.Mutex
	file *os.File
}

// RoundTrip makes a request. Each load replaces the admin API's server, and net/http closes the connection of a request that reaches the
// old one meanwhile, without an answer. Such a request is made again.
func (s *shown) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.Transport.RoundTrip(r)
	for tries := 1; tries < 10 && errors.Is(err, io.EOF); tries++ {
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		resp, err = s.Transport.RoundTrip(r)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.file.Write(append(answer, '\n'))
	return resp, err
}

// keep adds a file that is searched for secrets at the end of the run.
func (p *process) keep(path string) {
	p.t.Helper()
	kept := p.kept("the file " + filepath.Base(path))
	defer kept.Close()
	if _, err := kept.Write(readFile(p.t, path)); err != nil {
		p.t.Fatal(err)
	}
}

// files calls see for each file and folder of the process.
func (p *process) files(see func(path string, info fs.FileInfo)) {
	p.t.Helper()
	err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == p.dir {
			return err
		}
		info, err := entry.Info()
		if err == nil && (info.IsDir() || info.Mode().IsRegular()) {
			see(path, info)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}
