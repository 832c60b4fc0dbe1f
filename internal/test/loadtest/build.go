package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

// Another build is this program, built from another commit. It only plays the server. The configuration, the push service and the homeservers
// come from this build, for both. The other build must understand role.go (two environment variables, questions and answers in lines) and the
// Caddyfile of setup.go. A change there must keep older builds working.

// cure is part of every error about -against.
const cure = "build it from a checkout of the other commit: go build -o FILE ./internal/test/loadtest"

// namesProgram reports whether -against names a program, and not the gateway's options.
func namesProgram(text string) bool {
	return !strings.Contains(text, "=") || strings.ContainsAny(text, `/\`)
}

// findProgram returns the absolute path of an executable file.
func findProgram(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err == nil {
		path, err = exec.LookPath(path)
	}
	if err == nil {
		return path, nil
	}
	if reason := new(exec.Error); errors.As(err, &reason) {
		err = reason.Err // it names the path again
	}
	return "", fmt.Errorf("%s is not a program: %w; %s", name, err, cure)
}

// prepareBuilds checks that the other build is a server, and returns the options with which both builds are measured.
func prepareBuilds(ctx context.Context, o *options, folder string, out io.Writer) (*options, error) {
	mine, err := os.Executable()
	if err != nil {
		return nil, err
	}
	apart, err := runApart(o, mine, folder)
	if err != nil {
		return nil, err
	}
	if err := probe(ctx, apart); err != nil {
		return nil, err
	}
	printBuilds(out, o)
	return apart, nil
}

// printBuilds explains the ratio of two builds, and prints how they differ besides their commits.
func printBuilds(out io.Writer, o *options) {
	fmt.Fprintf(out, "the gateway of this build, compared with that of %s; a ratio is this build's number divided by the other's\n", o.Against.Name)
	mine, ok := debug.ReadBuildInfo()
	other, err := buildinfo.ReadFile(o.Against.Program)
	if err != nil || !ok { // a script that starts the other build, for example
		fmt.Fprintln(out, "note: it is not known whether the two were built in the same way")
	} else if d := differences(mine, other); len(d) > 0 {
		fmt.Fprintf(out, "note: not only the commits differ (this build, the other): %s\n", strings.Join(d, "; "))
	}
}

// runApart copies both builds, so each server runs a file that no other process runs. Processes of the same file share its memory: a server
// that runs the same file as the push service and the homeservers finds more of its code loaded. Compared with a copy of itself, a build had
// 12 % more resident memory only for that reason.
func runApart(o *options, mine, folder string) (*options, error) {
	apart := *o
	apart.Gateway.Program, apart.Against.Program = filepath.Join(folder, "this"), filepath.Join(folder, "other")
	return &apart, errors.Join(copyProgram(apart.Gateway.Program, mine), copyProgram(apart.Against.Program, o.Against.Program))
}

// copyProgram copies an executable file. No process may start meanwhile: it would have the file open for a moment, and a file that is open for
// writing cannot be run (https://go.dev/issue/22315).
func copyProgram(to, from string) (err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	_, err = io.Copy(target, source)
	return err
}

// probe starts the other build, and has it answer a notification for no device. So any other program is refused before the measurements.
func probe(ctx context.Context, o *options) error {
	if err := answersNobody(ctx, o, o.Against); err != nil {
		return fmt.Errorf("%s is not a server for this load test (%s): %w", o.Against.Name, cure, err)
	}
	return nil
}

func answersNobody(ctx context.Context, o *options, v variant) (err error) {
	b, err := newBench(ctx, o, v)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	c := b.dialer.connect(1, o.HTTP2)[0]
	defer c.close()
	status, err := c.post(ctx, nobody)
	if err == nil && status != 200 {
		err = fmt.Errorf("a notification was answered %d", status)
	}
	return err
}

// differences returns the differences in the toolchain and its settings, which would look like differences in the code.
func differences(mine, other *debug.BuildInfo) []string {
	a, b := settings(mine), settings(other)
	all := maps.Clone(a)
	maps.Copy(all, b)
	var list []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if a[key] != b[key] {
			list = append(list, fmt.Sprintf("%s %q, %q", key, a[key], b[key]))
		}
	}
	return list
}

func settings(info *debug.BuildInfo) map[string]string {
	m := map[string]string{"go": info.GoVersion}
	for _, s := range info.Settings {
		if !strings.HasPrefix(s.Key, "vcs") {
			m[s.Key] = s.Value
		}
	}
	return m
}
