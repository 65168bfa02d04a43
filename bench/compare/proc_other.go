//go:build !linux

package main

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

func processUsage() usage {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return usage{CPU: float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9, Memory: float64(ru.Maxrss)}
}

func statusField(pid, name string) (float64, bool) { return 0, false }

func monotonic() int64 { return time.Now().UnixNano() }

func datasync(f *os.File) error { return f.Sync() }

func settle(dir string) {}

func forget(f *os.File) {}

func dieWithParent(cmd *exec.Cmd) {}

func filesystem(dir string) string { return "unknown" }
