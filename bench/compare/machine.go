package main

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine names what the figures were measured on.
type machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	OS         string `json:"os"`
	Memory     string `json:"memory,omitempty"`
	Filesystem string `json:"filesystem"`
	Go         string `json:"go"`
	Node       string `json:"node,omitempty"`
	Date       string `json:"date"`
}

func describeMachine(e *env) machine {
	m := machine{
		CPU:        firstField("/proc/cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		OS:         runtime.GOOS + "/" + runtime.GOARCH,
		Memory:     firstField("/proc/meminfo", "MemTotal"),
		Filesystem: filesystem(e.dir),
		Go:         runtime.Version(),
		Date:       time.Now().UTC().Format("2006-01-02"),
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.OS += " " + strings.TrimSpace(string(b))
	}
	if e.npm() == nil {
		if out, err := exec.Command(e.node, "--version").Output(); err == nil {
			m.Node = strings.TrimSpace(string(out))
		}
	}
	return m
}

// firstField is the value of the first "name: value" line of a file.
func firstField(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range bytes.Lines(b) {
		if k, v, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
