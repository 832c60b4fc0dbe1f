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

// namespace is an environment variable with the name of the outer network namespace. A test binary has it if it runs in a separate
// namespace.
const namespace = "CADDY_MATRIX_PUSH_E2E_OUTSIDE"

// insideNamespace reports whether the test runs where no connection can leave the machine. If not, it runs the test again, in a process
// with a separate network namespace. There, every address of both families is this machine's, so each connection is seen and reaches nobody
// else. CI sets CI_REQUIRE_NETNS, so the test is never skipped there.
func insideNamespace(t *testing.T) bool {
	t.Helper()
	return insideNamespaceOf(t, func(*testing.T) string { return os.Args[0] })
}

// insideNamespaceUnraced is like insideNamespace, for tests that measure memory and time. Test and gateway are built without the race
// detector, which needs several times as much of both.
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
			t.Fatal("this is not a separate namespace")
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
		t.Skipf("this machine allows no network namespace, and hostile addresses must not be tried without one: %v", err)
	}
	timeout := 5*time.Minute + 2*attackTime(0)
	cmd := inNamespace(exec.Command(binary(t), "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout="+timeout.String()))
	cmd.Env = append(os.Environ(), namespace+"="+here)
	runtime.LockOSThread() // the signal is sent when the thread that started the process ends
	defer runtime.UnlockOSThread()
	output, err := cmd.CombinedOutput()
	if err != nil || !slices.Contains(strings.Fields(string(output)), "PASS") {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("in a separate namespace:\n%s", output)
	return false
}

// inNamespace makes a command run in a separate network namespace.
func inNamespace(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	}
	return cmd
}

// namespacesAllowed returns the error if this machine cannot make a network namespace.
var namespacesAllowed = sync.OnceValue(func() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return inNamespace(exec.Command(os.Args[0], "-test.run=^$")).Run()
})

// everyAddressIsHere assigns every address to the namespace's only interface.
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

// attackTime returns how long tests of attacks run. E2E_ATTACK sets it, for example to 2m.
func attackTime(usual time.Duration) time.Duration {
	return max(usual, envTime("E2E_ATTACK", usual))
}
