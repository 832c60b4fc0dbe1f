package main

import (
	"bufio"
	"context"
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

// child is a server in a separate process.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	log    string
	// started is when the process started.
	started time.Time
}

// start runs this program in a role, or another build of it if the variant names one. It reads the first line of output, after which the child
// serves.
func start(ctx context.Context, role, dir string, v variant, hello any) (_ *child, err error) {
	program := v.Program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	c := &child{cmd: &exec.Cmd{Path: program, Args: []string{program}}, log: filepath.Join(dir, role+".log")}
	c.cmd.Env = append(os.Environ(), roleKey+"="+role, dirKey+"="+dir, "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if v.GOMAXPROCS > 0 {
		c.cmd.Env = append(c.cmd.Env, "GOMAXPROCS="+strconv.Itoa(v.GOMAXPROCS))
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
	if err := c.greeted(ctx, stdout, hello); err != nil {
		return nil, errors.Join(fmt.Errorf("the %s did not start: %w", role, err), c.stop())
	}
	return c, nil
}

// startTimeout is how long a child may take until it serves.
const startTimeout = time.Minute

var errSilent = errors.New("no answer in time")

// greeted reads the child's first line. A program that isn't this one may never write any.
func (c *child) greeted(ctx context.Context, stdout io.Closer, hello any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errSilent)
	defer cancel()
	abandon := context.AfterFunc(ctx, func() {
		_ = c.cmd.Process.Kill()
		_ = stdout.Close() // a process that it started may hold the other end
	})
	defer abandon()
	err := c.read(hello)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// ask sends a question to the child and reads the answer.
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
