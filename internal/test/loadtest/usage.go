package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

// usage is what a process has used so far, and what it holds.
type usage struct {
	// CPU is that of all threads, the garbage collector's included.
	CPU time.Duration
	// Allocations and Allocated are counts and bytes since the process began.
	Allocations, Allocated uint64
	// Resident is the memory that the system gave the process, and Peak the most that it was; 0 where it does not say.
	Resident, Peak uint64
	// Live is what the heap and the stacks hold.
	Live uint64
}

// used is the usage of this process.
func used() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, _ := os.ReadFile("/proc/self/status") // Linux alone has it
	return usage{
		CPU: cpu(), Allocations: m.Mallocs, Allocated: m.TotalAlloc,
		Resident: field(status, "VmRSS:"), Peak: field(status, "VmHWM:"), Live: m.HeapAlloc + m.StackInuse,
	}
}

// settled is the usage once the garbage is collected and given back.
func settled() usage {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // what finalizers and pools kept through the first
	return used()
}

// field is a number of kilobytes in /proc/self/status, in bytes.
func field(status []byte, name string) uint64 {
	_, rest, _ := bytes.Cut(status, []byte(name))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	n, _ := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 64)
	return n << 10
}
