package main

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
)

// profiler writes a CPU profile of what a process does while its clock runs:
// from the first Op usage to the end of the request after it, or during one
// live-write or live-read.
type profiler struct {
	name string // empty: none
	file *os.File
	done bool
}

func (p *profiler) before(op string) error {
	if p.name == "" || p.done || p.file != nil || op != "usage" && op != "live-write" && op != "live-read" {
		return nil
	}
	f, err := os.Create(p.name)
	if err != nil {
		return err
	}
	p.file = f
	if op != "usage" {
		p.done = true
	}
	return pprof.StartCPUProfile(f)
}

func (p *profiler) after() error {
	if p.file == nil {
		return nil
	}
	if !p.done { // that was Op usage
		p.done = true
		return nil
	}
	pprof.StopCPUProfile()
	err := p.file.Close()
	p.file = nil
	return err
}

// profile is the file for the profile of a process, empty for none.
func (e *env) profile(label string) string {
	if e.profiles == "" {
		return ""
	}
	return filepath.Join(e.profiles, strings.ReplaceAll(label, " ", "-")+".pprof")
}
