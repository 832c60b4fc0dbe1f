package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

// usage is what a process has used so far, and the memory that it holds.
type usage struct {
	// CPU is the CPU time of all threads, including the garbage collector's.
	CPU time.Duration
	// Allocations and Allocated are counts and bytes since the process began.
	Allocations, Allocated uint64
	// Resident is the resident memory of the process, and Peak its maximum. Both are 0 on systems that don't report them.
	Resident, Peak uint64
	// Live is the memory of the heap and the stacks.
	Live uint64
}

// used returns the usage of this process.
func used() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, _ := os.ReadFile("/proc/self/status") // exists only on Linux
	return usage{
		CPU: cpu(), Allocations: m.Mallocs, Allocated: m.TotalAlloc,
		Resident: field(status, "VmRSS:"), Peak: field(status, "VmHWM:"), Live: m.HeapAlloc + m.StackInuse,
	}
}

// settled returns the usage after garbage collection, with unused memory returned to the system.
func settled() usage {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // frees what finalizers and pools kept through the first one
	return used()
}

// field returns a field of /proc/self/status, which is in kilobytes, in bytes.
func field(status []byte, name string) uint64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	n, _ := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 64)
	return n << 10
}
