package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// recorded is the stat of a process with a name that looks like the rest of the line.
const recorded = "1435 (we ird) S 1 (x) S 1432 1432 17634 0 -1 4194304 140 0 0 0 250 50 7 3 20 0 1 0 8389676 2990080 425 18446744073709551615 " +
	"94066625286144 94066625304073 140722529187600 0 0 0 0 6 0 1 0 0 17 1 0 0 0 0 0 94066625318160 94066625319424 94067060682752 " +
	"140722529192428 140722529192451 140722529192451 140722529193956 0\n"

func TestAProcessMayHaveAnyName(t *testing.T) {
	t.Parallel()
	got, err := parseStat(recorded)
	want := stat{pid: 1435, parent: 1432, name: "we ird) S 1 (x", cpu: 3100 * time.Millisecond, started: 8389676}
	if err != nil || got != want {
		t.Errorf("it is %+v: %v", got, err)
	}
	for _, text := range []string{"", "1435", "1435 (x", "1435 (x) S 1432", strings.Replace(recorded, " 8389676 ", " soon ", 1), "x" + recorded} {
		if s, err := parseStat(text); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}

// fakeProcess is a process of a made folder /proc.
type fakeProcess struct {
	pid, parent, ticks, kib int
	links                   []string
}

// fakeProc makes a folder /proc.
func fakeProc(t *testing.T, tcp string, processes ...fakeProcess) procfs {
	t.Helper()
	root := t.TempDir()
	write := func(text string, path ...string) {
		name := filepath.Join(append([]string{root}, path...)...)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(tcp, "net", "tcp")
	for _, p := range processes {
		pid := strconv.Itoa(p.pid)
		text := strings.Replace(recorded, "1435 ", pid+" ", 1)
		text = strings.Replace(text, " 1432 ", fmt.Sprintf(" %d ", p.parent), 1)
		write(strings.Replace(text, " 250 50 7 3 ", fmt.Sprintf(" %d 0 0 0 ", p.ticks), 1), pid, "stat")
		write(fmt.Sprintf("Name:\tVmHWM: 9 kB\nUmask:\t0022\nVmHWM:\t%8d kB\nVmRSS:\t%8d kB\n", p.kib, p.kib/2), pid, "status")
		write("", pid, "fd", "0")
		for i, link := range p.links {
			if err := os.Symlink(link, filepath.Join(root, pid, "fd", strconv.Itoa(i+1))); err != nil {
				t.Skipf("no links: %v", err)
			}
		}
	}
	return procfs(root)
}

func TestWhatAProcessUsesIsAlsoWhatItsDescendantsUse(t *testing.T) {
	t.Parallel()
	files := fakeProc(t, "", fakeProcess{pid: 10, parent: 1, ticks: 100, kib: 1000}, fakeProcess{pid: 9, parent: 12, ticks: 10, kib: 100},
		fakeProcess{pid: 12, parent: 10, ticks: 1, kib: 10}, fakeProcess{pid: 20, parent: 1, ticks: 5000, kib: 5000})
	p, err := files.find(10)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.used()
	if want := (usage{CPU: 1110 * time.Millisecond, Peak: 1110 << 10, Resident: 555 << 10}); err != nil || got != want {
		t.Errorf("they used %+v: %v", got, err)
	}
	if _, err := files.find(11); err == nil || !strings.Contains(err.Error(), "no process 11") {
		t.Errorf("a process that does not exist is found: %v", err)
	}
}

func TestAProcessThatHasEndedIsNotTakenForALaterOne(t *testing.T) {
	t.Parallel()
	files := fakeProc(t, "", fakeProcess{pid: 10, parent: 1})
	p, err := files.find(10)
	if err != nil {
		t.Fatal(err)
	}
	p.started--
	if _, err := p.used(); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("a later process is taken for it: %v", err)
	}
	p.started++
	if err := os.RemoveAll(filepath.Join(string(files), "10")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.used(); err == nil || !strings.Contains(err.Error(), "10 (we ird) S 1 (x) has ended") {
		t.Errorf("the error is %v", err)
	}
}

func TestAProcessIsFoundByItsPort(t *testing.T) {
	t.Parallel()
	const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 108 1 00000000ac70cae0 100 0 0 10 0
   1: 0100007F:1388 0100007F:D3CA 01 00000000:00000000 03:00000CE9 00000000     0        0 109 3 00000000e208d563
   2: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 110 1 00000000ac70cae0 100 0 0 10 0
`
	listening, connected, elsewhere := []string{"/dev/null", "socket:[108]"}, []string{"socket:[109]"}, []string{"socket:[110]"}
	for _, test := range []struct {
		name      string
		processes []fakeProcess
		pid       int
		err       string
	}{
		{"one, and others with other sockets", []fakeProcess{{pid: 4, links: connected}, {pid: 5, links: listening}, {pid: 6, links: elsewhere}}, 5, ""},
		{"workers belong to the process that started them", []fakeProcess{{pid: 7, parent: 9, links: listening}, {pid: 9, links: listening}}, 9, ""},
		{"none", []fakeProcess{{pid: 4, links: connected}}, 0, "port 5000: name it with -pid"},
		{"two", []fakeProcess{{pid: 5, parent: 3, links: listening}, {pid: 6, parent: 3, links: listening}}, 0, "2 processes listen on port 5000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, err := fakeProc(t, tcp, test.processes...).listener(5000)
			if err != nil || test.err != "" {
				if err == nil || test.err == "" || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("the error is %v", err)
				}
				return
			}
			if p.pid != test.pid {
				t.Errorf("it is %d", p.pid)
			}
		})
	}
}
