package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// condition [smalldisk]: this process may mount file systems.
func condition(cond string) (bool, error) {
	if cond != "smalldisk" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	dir, err := os.MkdirTemp("", "smalldisk")
	if err != nil {
		return false, err
	}
	defer os.Remove(dir)
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m") != nil {
		return false, nil
	}
	return true, syscall.Unmount(dir, 0)
}

// smalldisk DIR N [ro]: a file system of N MiB at DIR; again: it becomes so large, and
// read-only or not.
func smallDisk(ts *testscript.TestScript, _ bool, args []string) {
	dir, opt := ts.MkAbs(args[0]), "size="+args[1]+"m"
	if _, err := os.Stat(dir); err == nil {
		var flags uintptr = syscall.MS_REMOUNT
		if len(args) > 2 && args[2] == "ro" {
			flags |= syscall.MS_RDONLY
		}
		ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", flags, opt))
		return
	}
	ts.Check(os.Mkdir(dir, 0o700))
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, opt))
	ts.Defer(func() { ts.Check(syscall.Unmount(dir, syscall.MNT_DETACH)) })
}
