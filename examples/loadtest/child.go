package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// child is a server in a process of its own.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	log    string
	// started is when its process was.
	started time.Time
}

// start runs this program in a role, and reads what it says first: by then it serves.
func start(role, dir string, gomaxprocs int, hello any) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: &exec.Cmd{Path: program, Args: []string{program}}, log: filepath.Join(dir, role+".log")}
	c.cmd.Env = append(os.Environ(), roleKey+"="+role, dirKey+"="+dir, "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if gomaxprocs > 0 {
		c.cmd.Env = append(c.cmd.Env, "GOMAXPROCS="+strconv.Itoa(gomaxprocs))
	}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	c.cmd.Stderr = log
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdout = bufio.NewReader(stdout)
	c.started = time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := c.read(hello); err != nil {
		return nil, errors.Join(fmt.Errorf("the %s did not start: %w", role, err), c.stop())
	}
	return c, nil
}

// ask asks the child something.
func (c *child) ask(question string, answer any) error {
	if _, err := io.WriteString(c.stdin, question+"\n"); err != nil {
		return err
	}
	return c.read(answer)
}

func (c *child) read(answer any) error {
	line, err := c.stdout.ReadBytes('\n')
	if err != nil {
		log, _ := os.ReadFile(c.log)
		return fmt.Errorf("%w; its log ends with: %s", err, log[max(0, len(log)-2000):])
	}
	return json.Unmarshal(line, answer)
}

// patience is how long a child may take to end.
const patience = 10 * time.Second

// stop ends the child, and waits until it has ended.
func (c *child) stop() error {
	_ = c.stdin.Close()
	killer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer killer.Stop()
	return c.cmd.Wait()
}
