package main

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// processUsage tells what this process has used so far.
func processUsage() usage {
	var ru unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &ru)
	u := usage{
		CPU:    float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9,
		Memory: float64(ru.Maxrss) * 1024,
	}
	// Maxrss of a process counts what its parent held when it was started.
	if hwm, ok := statusField("self", "VmHWM"); ok {
		u.Memory = hwm
	}
	return u
}

// statusField is a memory figure of /proc/PID/status in bytes.
func statusField(pid, name string) (float64, bool) {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) == 3 && string(bytes.TrimSuffix(f[0], []byte(":"))) == name {
			kb, err := strconv.ParseFloat(string(f[1]), 64)
			return kb * 1024, err == nil
		}
	}
	return 0, false
}

// monotonic is a clock that all processes of the machine share, in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// datasync makes the content of a file durable.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// settle writes back what earlier runs have left dirty, so that it is not
// written back during the next one.
func settle(dir string) {
	if f, err := os.Open(dir); err == nil {
		unix.Syncfs(int(f.Fd()))
		f.Close()
	}
}

// dieWithParent makes a child end when this process does.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
}

// filesystem names the kind of file system dir is on.
func filesystem(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return "unknown"
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return "type 0x" + strconv.FormatInt(int64(st.Type), 16)
}

// forget takes a file that was only read out of the page cache.
func forget(f *os.File) { unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
