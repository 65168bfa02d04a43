package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxSlots bounds the nodes of one home that run at the same time. A home with
// more is a script gone wild, and each slot costs every search for a node one
// look at the disk.
const maxSlots = 256

const (
	slotLock   = "slot.lock"
	slotRole   = "role"
	slotSocket = "control.sock"
)

// Slot is the part of a home that one running node has for itself:
//
//	nodes/N/slot.lock      flock, held while the node runs; whose process that is, or was
//	nodes/N/role           what the slot was last used for
//	nodes/N/control.sock   the control socket, 0600 in a directory that is 0700
//	nodes/N/...            what the node keeps: identity, DHT records
//
// A command that merely holds a feed for a while has a slot under commands/,
// alike but with nothing kept, and a node that is gone when its command is done
// one under visits/, so that nodes that stay keep their numbers.
//
// Several nodes may run on one home. A node takes the first free slot that
// last had the same role, else the first slot that is new. So a node that stays
// has the identity that it had when it is started again, whatever visits and
// nodes of other roles were started meanwhile; of several with one role those
// that are started in the same order.
type Slot struct {
	n    int
	dir  string
	lock *os.File
}

// ErrNoSlot is returned by Claim when every slot of the home is taken.
var ErrNoSlot = errors.New("control: too many nodes run on this home")

// Roles that others know of.
const (
	RoleCommand = "command" // a process that runs no node
	RoleVisit   = "visit"   // a node whose identity nobody is given: it ends with its command
)

// Claim takes a slot for a role, such as "node", "bootstrap", RoleVisit or
// RoleCommand. Close gives it back.
func (h *Home) Claim(role string) (*Slot, error) {
	in := h.nodesDir()
	switch role {
	case RoleCommand:
		in = h.commandsDir()
	case RoleVisit:
		in = h.visitsDir()
	}
	for _, again := range []bool{true, false} {
		want := ""
		if again {
			want = role
		}
		for n := range maxSlots {
			dir := slotDir(in, n)
			if slotRoleOf(dir) != want {
				continue
			}
			if s, err := claim(dir, n, role); s != nil || err != nil {
				return s, err
			}
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoSlot, h.dir)
}

// claim takes slot n; nil, nil when another process has it.
func claim(dir string, n int, role string) (*Slot, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("control: claim slot %d: %w", n, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, slotLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control: claim slot %d: %w", n, err)
	}
	ok, err := tryLock(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("control: lock %s: %w", f.Name(), err)
	}
	// Between our look at the role and the lock another process may have come and gone.
	if have := slotRoleOf(dir); !ok || have != "" && have != role {
		f.Close()
		return nil, nil
	}
	if slotRoleOf(dir) == "" {
		if err := os.WriteFile(filepath.Join(dir, slotRole), []byte(role+"\n"), 0o600); err != nil {
			f.Close()
			return nil, fmt.Errorf("control: claim slot %d: %w", n, err)
		}
	}
	if f.Truncate(0) == nil { // only for people: see SlotInfo.PID
		fmt.Fprintln(f, os.Getpid())
	}
	return &Slot{n: n, dir: dir, lock: f}, nil
}

// N is the number of the slot, from 0.
func (s *Slot) N() int { return s.n }

// Dir is the directory of the slot, 0700.
func (s *Slot) Dir() string { return s.dir }

// Socket is the path of the control socket.
func (s *Slot) Socket() string { return filepath.Join(s.dir, slotSocket) }

// Close gives the slot back. What the node keeps there stays.
func (s *Slot) Close() error { return s.lock.Close() }

// SlotInfo describes a slot of a home as seen from outside.
type SlotInfo struct {
	N      int
	Dir    string
	Role   string
	Socket string // where its node listens, if one runs
	PID    int    // of the process that claimed it last; 0: not known
}

// Slots lists the slots that exist: those of nodes in order, then those of visits, then
// those of commands.
func (h *Home) Slots() []SlotInfo {
	var out []SlotInfo
	for _, in := range []string{h.nodesDir(), h.visitsDir(), h.commandsDir()} {
		for _, n := range slotsIn(in) {
			dir := slotDir(in, n)
			out = append(out, SlotInfo{N: n, Dir: dir, Role: slotRoleOf(dir), Socket: filepath.Join(dir, slotSocket), PID: slotPID(dir)})
		}
	}
	return out
}

func slotDir(in string, n int) string { return filepath.Join(in, strconv.Itoa(n)) }

func slotRoleOf(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, slotRole))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func slotPID(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, slotLock))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// slotsIn lists the numbers of the slots in a directory, in order.
func slotsIn(dir string) []int {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range ents {
		if n, err := strconv.Atoi(e.Name()); err == nil && n >= 0 && n < maxSlots && strconv.Itoa(n) == e.Name() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
