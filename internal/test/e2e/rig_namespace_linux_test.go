package e2e

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// namespace names the network namespace outside, in the environment of a test binary that runs inside one of its own.
const namespace = "CADDY_MATRIX_PUSH_E2E_OUTSIDE"

// insideNamespace reports whether the test runs where no connection can leave the machine. Where it does not, it runs the test again, as a
// process in a network namespace of its own, in which every address of both families is this machine's: whatever is connected to is seen,
// and is nobody else's. CI sets CI_REQUIRE_NETNS and must not skip it.
func insideNamespace(t *testing.T) bool {
	t.Helper()
	return insideNamespaceOf(t, func(*testing.T) string { return os.Args[0] })
}

// insideNamespaceUnraced is insideNamespace for what measures memory and time: test and gateway are built without the race detector, which
// costs several times as much of both.
func insideNamespaceUnraced(t *testing.T) bool {
	t.Helper()
	return insideNamespaceOf(t, unraced.binary)
}

func insideNamespaceOf(t *testing.T, binary func(*testing.T) string) bool {
	t.Helper()
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if outside := os.Getenv(namespace); outside != "" {
		if outside == here {
			t.Fatal("this is no namespace of its own")
		}
		if err := everyAddressIsHere(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if err := namespacesAllowed(); err != nil {
		if os.Getenv("CI_REQUIRE_NETNS") != "" {
			t.Fatalf("no network namespace, but CI_REQUIRE_NETNS is set: %v", err)
		}
		t.Skipf("this machine allows no network namespace, without which hostile addresses must not be tried: %v", err)
	}
	timeout := 5*time.Minute + 2*attackTime(0)
	cmd := inNamespace(exec.Command(binary(t), "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout="+timeout.String()))
	cmd.Env = append(os.Environ(), namespace+"="+here)
	runtime.LockOSThread() // the signal comes when the thread ends that started the process
	defer runtime.UnlockOSThread()
	output, err := cmd.CombinedOutput()
	if err != nil || !slices.Contains(strings.Fields(string(output)), "PASS") {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("in a namespace of its own:\n%s", output)
	return false
}

// inNamespace has a command run in a network namespace of its own.
func inNamespace(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	}
	return cmd
}

// namespacesAllowed is what keeps this machine from making a network namespace.
var namespacesAllowed = sync.OnceValue(func() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return inNamespace(exec.Command(os.Args[0], "-test.run=^$")).Run()
})

// everyAddressIsHere makes every address one of the namespace's only interface.
var everyAddressIsHere = sync.OnceValue(func() error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"route", "add", "local", "0.0.0.0/0", "dev", "lo"},
		{"-6", "route", "add", "local", "::/0", "dev", "lo"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return errors.New("ip " + strings.Join(args, " ") + ": " + string(out) + err.Error())
		}
	}
	return nil
})

// attackTime is how long tests of attacks look at what comes of one; E2E_ATTACK says otherwise, as 2m.
func attackTime(usual time.Duration) time.Duration {
	return max(usual, envTime("E2E_ATTACK", usual))
}
