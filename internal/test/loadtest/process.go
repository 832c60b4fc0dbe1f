package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// procfs is the folder in which Linux describes processes, /proc. Other systems have none.
type procfs string

// process is a running process that this program did not start.
type process struct {
	files procfs
	stat
}

// stat is what a process's file stat says.
type stat struct {
	pid, parent int
	name        string
	// cpu is the CPU time of the process, and of its children that have ended.
	cpu time.Duration
	// started is when the process started. It differs from that of a later process with the same pid.
	started uint64
}

// tick is the unit of CPU times in /proc. Linux shows the same one on every machine (USER_HZ).
const tick = time.Second / 100

// parseStat reads the file stat, see proc_pid_stat(5). A process may have any name, so its name ends at the last bracket.
func parseStat(text string) (s stat, err error) {
	before, rest, ok := strings.Cut(text, " (")
	end := strings.LastIndexByte(rest, ')')
	if !ok || end < 0 {
		return s, errors.New("a process's stat has no name")
	}
	fields := strings.Fields(rest[end+1:]) // from the third, the state
	if len(fields) < 20 {
		return s, errors.New("a process's stat is too short")
	}
	s.name = rest[:end]
	var errs [7]error
	s.pid, errs[0] = strconv.Atoi(before)
	s.parent, errs[1] = strconv.Atoi(fields[1])
	for i, field := range fields[11:15] { // utime, stime, cutime, cstime
		var ticks int64
		ticks, errs[2+i] = strconv.ParseInt(field, 10, 64)
		s.cpu += time.Duration(ticks) * tick
	}
	s.started, errs[6] = strconv.ParseUint(fields[19], 10, 64)
	return s, errors.Join(errs[:]...)
}

// find returns the process with a pid.
func (f procfs) find(pid int) (*process, error) {
	for _, s := range f.all() {
		if s.pid == pid {
			return &process{f, s}, nil
		}
	}
	return nil, fmt.Errorf("there is no process %d", pid)
}

// all returns the processes that are running. A process that ends meanwhile is left out.
func (f procfs) all() []stat {
	paths, _ := filepath.Glob(filepath.Join(string(f), "[0-9]*", "stat")) // cannot fail for this pattern
	var list []stat
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if s, err := parseStat(string(text)); err == nil {
			list = append(list, s)
		}
	}
	return list
}

// used returns what the process and its descendants have used so far. Peak is the sum of their peaks, so it counts shared memory several times.
func (p *process) used() (u usage, err error) {
	found, all := false, p.files.all()
	for family := []int{p.pid}; len(family) > 0; family = family[1:] {
		for _, s := range all {
			switch {
			case s.pid == family[0]:
				found = found || s.pid == p.pid && s.started == p.started
				status, _ := os.ReadFile(filepath.Join(string(p.files), strconv.Itoa(s.pid), "status"))
				u.CPU += s.cpu
				u.Resident += field(status, "VmRSS:")
				u.Peak += field(status, "VmHWM:")
			case s.parent == family[0]:
				family = append(family, s.pid)
			}
		}
	}
	if !found {
		return u, fmt.Errorf("the process %d (%s) has ended", p.pid, p.name)
	}
	return u, nil
}

// listener returns the process that listens on a TCP port. A process whose parent listens as well belongs to its parent.
func (f procfs) listener(port int) (*process, error) {
	sockets, all := f.sockets(port), f.all()
	var holders []int
	for _, s := range all {
		if f.holds(s.pid, sockets) {
			holders = append(holders, s.pid)
		}
	}
	var found []stat
	for _, s := range all {
		if slices.Contains(holders, s.pid) && !slices.Contains(holders, s.parent) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no process that you may look into listens on port %d: name it with -pid", port)
	case 1:
		return &process{f, found[0]}, nil
	}
	return nil, fmt.Errorf("%d processes listen on port %d: name the one that started them with -pid", len(found), port)
}

// sockets returns the links to the sockets that listen on a port, as they are among the files of a process.
func (f procfs) sockets(port int) (links []string) {
	for _, name := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile(filepath.Join(string(f), "net", name)) // tcp6 does not exist without IPv6
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				links = append(links, "socket:["+fields[9]+"]")
			}
		}
	}
	return links
}

// holds reports whether a process has one of the files open.
func (f procfs) holds(pid int, links []string) bool {
	paths, _ := filepath.Glob(filepath.Join(string(f), strconv.Itoa(pid), "fd", "*")) // cannot fail for this pattern
	return slices.ContainsFunc(paths, func(path string) bool {
		link, err := os.Readlink(path)
		return err == nil && slices.Contains(links, link)
	})
}
