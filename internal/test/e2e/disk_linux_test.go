package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// tinyDisk mounts a separate file system of some bytes for the duration of the test.
func tinyDisk(t *testing.T, path string, bytes int) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("only root may mount a small disk; outbox/file tests a file that may not grow")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill writes a file until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

func TestAFullDiskMakesTheHomeserverWaitAndLosesNothing(t *testing.T) {
	t.Parallel()
	u := newUnreliable(t)
	s := &safeScene{unreliable: u, t: t, gateway: newProcess(t), config: gatewayConfig("rejected file {dir}/rejected.db\n"+
		"outbox file {dir}/disk/outbox.db\n"+u.moreUp("org.example.soon", "wait 300ms")+u.moreUp("org.example.up", "wait 20s"), "matrix_push")}
	tinyDisk(t, filepath.Join(s.gateway.dir, "disk"), 4<<20)
	s.start()
	var devices []device
	for i := range 4 {
		devices = append(devices, s.phoneOf("org.example.soon", fmt.Sprint("phone", i)))
	}
	fine, late := s.phone("fine"), s.phoneOf("org.example.soon", "late")
	s.set(behaviour{status: http.StatusServiceUnavailable}, append(devices, late)...)
	accepted(t, s.notify("$0", devices...))

	filler := filepath.Join(s.gateway.dir, "disk", "filler")
	var lates []int
	for round := range 2 {
		fill(t, filler)
		// The free room inside the file is used up first.
		refused := -1
		for n := range 1000 {
			event := fmt.Sprintf("$%d-%d", round, n)
			if r := s.notify(event, devices...); r.Status != http.StatusOK {
				wantUnavailable(t, r)
				refused = n
				break
			}
		}
		if refused < 0 {
			t.Fatal("the disk is never full")
		}
		// One push may still fit where four did not.
		n := 0
		for s.notify(fmt.Sprintf("$late%d-%d", round, n), late).Status == http.StatusOK {
			if n++; n == 1000 {
				t.Fatal("the disk is never full")
			}
		}
		for range 3 {
			wantUnavailable(t, s.notify(fmt.Sprintf("$late%d-%d", round, n), late))
		}
		// Work that needs no disk goes on.
		event := fmt.Sprint("$fine", round)
		accepted(t, s.notify(event, fine))
		s.awaitTaken(fine, []string{"$fine0", "$fine1"}[:round+1]...)

		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		accepted(t, s.notify(fmt.Sprintf("$%d-%d", round, refused), devices...))
		accepted(t, s.notify(fmt.Sprintf("$late%d-%d", round, n), late))
		lates = append(lates, n)
	}

	s.killAndStart()
	s.set(behaviour{}, append(devices, late)...)
	var events []string
	for round, n := range lates {
		for i := range n + 1 {
			events = append(events, fmt.Sprintf("$late%d-%d", round, i))
		}
	}
	s.awaitTaken(late, events...)
	if r := s.drained(); r.DoubledByKill > 0 || r.Refused == 0 {
		t.Errorf("%d doubled, %d refused", r.DoubledByKill, r.Refused)
	}
	if got := s.taken(devices[0]); len(got) < 3 || !slices.Equal(got, s.taken(devices[1])) {
		t.Errorf("two devices of the same requests got %q and %q", got, s.taken(devices[1]))
	}
}
