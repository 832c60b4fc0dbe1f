package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// anotherBuild is the test's binary at another path.
func anotherBuild(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "loadtest-parent")
	if err := os.Symlink(program, path); err != nil {
		t.Skipf("no other path for a program: %v", err)
	}
	return path
}

func TestAnotherBuildPlaysTheServerOnlyWithTheSameConfiguration(t *testing.T) {
	t.Parallel()
	path := anotherBuild(t)
	o := small(t, "-wait 2s -gomaxprocs 1 -against "+path)
	if o.Against != (variant{Name: path, Program: path, Wait: 2 * time.Second, Outbox: "file", GOMAXPROCS: 1}) {
		t.Errorf("it is compared with %+v", o.Against)
	}
	mine, other := startBench(t, o, o.Gateway), startBench(t, o, o.Against)
	if other.server.cmd.Path != path || !slices.Contains(other.server.cmd.Env, "GOMAXPROCS=1") {
		t.Errorf("the server is %s", other.server.cmd.Path)
	}
	for _, c := range []*child{other.sink, mine.server, mine.sink} {
		if program, err := os.Executable(); err != nil || c.cmd.Path != program {
			t.Errorf("a process that is not the other's server runs %s: %v", c.cmd.Path, err)
		}
	}
	if a, b := config(t, mine), config(t, other); a != b || !strings.Contains(a, "wait 2s") {
		t.Errorf("one is configured with\n%s\nand the other with\n%s", a, b)
	}
	answersAll(t, mine)
	answersAll(t, other)
}

// config returns a server's configuration, without what differs for each: the folder and the ports.
func config(t *testing.T, b *bench) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	var s setup
	if err := s.read(b.dir); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(b.dir, "DIR", s.Origins[0], "ORIGIN", b.dialer.address[len("127.0.0.1"):], ":PORT").Replace(string(text))
}

func TestPairsAreComparedWithACopyOfAnotherBuild(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	path := script(t, fmt.Sprintf("#!/bin/sh\necho \"$0 $%s\" >>%s\nexec %s\n", roleKey, log, anotherBuild(t)))
	o := small(t, "-provider unifiedpush -against "+path)
	before := *o
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"this build's number divided by the other's", "gateway  ", "  " + path, "CPU per notification", "it is not known"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
	if *o != before {
		t.Errorf("the options became %+v", o)
	}
	started, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(started)), "\n")
	if len(lines) != 1+o.Pairs {
		t.Errorf("it was started %d times, want once before and once in each pair", len(lines))
	}
	for _, line := range lines {
		copied, role, _ := strings.Cut(line, " ")
		if _, err := os.Stat(copied); copied == path || role != roleServer || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was started as %s, and is there still: %v", copied, role, err)
		}
	}
}

// Guards against a gateway that looks better because it shares code in memory with the push service and the homeservers.
func TestEachServerRunsAFileThatNothingElseRuns(t *testing.T) {
	t.Parallel()
	mine, other := script(t, "#!/bin/sh\necho mine\n"), script(t, "#!/bin/sh\necho other\n")
	o := small(t, "-against "+other)
	apart, err := runApart(o, mine, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var files []os.FileInfo
	for _, path := range []string{mine, other, apart.Gateway.Program, apart.Against.Program} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range files {
			if os.SameFile(f, info) {
				t.Errorf("%s is the same file as the one with number %d", path, i)
			}
		}
		files = append(files, info)
	}
	for path, want := range map[string]string{apart.Gateway.Program: "mine\n", apart.Against.Program: "other\n"} {
		if got, err := exec.Command(path).Output(); err != nil || string(got) != want {
			t.Errorf("%s prints %q: %v", path, got, err)
		}
	}
	if apart.Against.Name != other || apart.Gateway.Name != "gateway" || o.Gateway.Program != "" {
		t.Errorf("the names are %q and %q, and the options' program is %q", apart.Against.Name, apart.Gateway.Name, o.Gateway.Program)
	}
}

// script is a program that a shell runs.
func script(t *testing.T, text string) string {
	t.Helper()
	written := filepath.Join(t.TempDir(), "written")
	if err := os.WriteFile(written, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := copyProgram(path, written); err != nil { // other tests start processes meanwhile
		t.Fatal(err)
	}
	return path
}

func TestAProgramThatIsNotThisOneIsRefusedBeforeAnythingIsMeasured(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, program, want string }{
		{"it ends", "#!/bin/sh\necho no such role >&2\nexit 3\n", "no such role"},
		{"it prints something else", "#!/bin/sh\necho usage: program\n", "did not start"},
		{"it answers like a server, but is not one", "#!/bin/sh\necho null\ncat >/dev/null\n", "connection refused"},
		{"it is not for this machine", "\x7fELF nonsense", "exec format error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := small(t, "-against "+script(t, test.program))
			_, err := prepareBuilds(t.Context(), o, t.TempDir(), io.Discard)
			for _, want := range []string{o.Against.Name + " is not a server", "go build -o FILE ./internal/test/loadtest", test.want} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("there is no %q in the error %v", want, err)
				}
			}
		})
	}
}

func TestAProgramThatSaysNothingIsNotWaitedForAsLongAsItRuns(t *testing.T) {
	t.Parallel()
	// Its own child has the other end of its output when the shell is gone.
	silent := script(t, "#!/bin/sh\ncat\n")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errSilent)
	defer cancel()
	_, err := start(ctx, roleServer, t.TempDir(), variant{Program: silent}, new(any))
	if err == nil || !strings.Contains(err.Error(), errSilent.Error()) {
		t.Errorf("the error is %v", err)
	}
}

func TestABuildDoesNotDifferFromItself(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	printBuilds(&out, small(t, "-against "+anotherBuild(t)))
	if strings.Contains(out.String(), "note") {
		t.Errorf("it prints\n%s", &out)
	}
}

func TestWhatElseDiffersBetweenTwoBuildsIsNamed(t *testing.T) {
	t.Parallel()
	build := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{GoVersion: version, Settings: settings}
	}
	race, pure := debug.BuildSetting{Key: "-race", Value: "true"}, debug.BuildSetting{Key: "CGO_ENABLED", Value: "0"}
	for _, test := range []struct {
		name        string
		mine, other *debug.BuildInfo
		want        []string
	}{
		{"nothing", build("go1.26.8", race), build("go1.26.8", race), nil},
		{
			"the commit", build("go1.26.8", debug.BuildSetting{Key: "vcs.revision", Value: "1"}),
			build("go1.26.8", debug.BuildSetting{Key: "vcs.revision", Value: "2"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), nil,
		},
		{"the toolchain", build("go1.26.8"), build("go1.25.1"), []string{`go "go1.26.8", "go1.25.1"`}},
		{"a setting that only one has, and another", build("go1.26.8", race), build("go1.26.8", pure), []string{`-race "true", ""`, `CGO_ENABLED "", "0"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := differences(test.mine, test.other); !slices.Equal(got, test.want) {
				t.Errorf("it is %q", got)
			}
		})
	}
}
