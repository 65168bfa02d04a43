package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/node/diagnosis"
)

// Roles of slots. Nodes that seed and follow are alike; a bootstrap node keeps
// its identity, because others have its address in their scripts. Nodes of commands
// that end by themselves are control.RoleVisit.
const (
	roleNode      = "node"
	roleBootstrap = "bootstrap"
)

// holder answers other commands for the feeds that this process holds. It is
// safe for concurrent use.
type holder struct {
	command string    // constant: what runs here
	started time.Time // constant

	mu     sync.Mutex
	feeds  []control.OpenFeed
	node   *running        // nil: no node
	slot   *control.Slot   // nil: not claimed, or given to a node
	server *control.Server // nil: not serving
	closed bool
}

var _ control.Backend = (*holder)(nil)

func newHolder(command string) *holder { return &holder{command: command, started: time.Now()} }

func (h *holder) add(of control.OpenFeed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feeds = append(h.feeds, of)
}

// serve claims a slot and listens there. For a command without a node this is
// a courtesy to others, so its failure is nobody's problem.
func (h *holder) serve(home *control.Home) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.server != nil {
		return
	}
	slot, err := home.Claim(control.RoleCommand)
	if err != nil {
		return
	}
	if err := h.listen(slot, h); err != nil {
		slot.Close()
		return
	}
	h.slot = slot
}

// listen serves back on the socket of a slot. Under mu.
func (h *holder) listen(slot *control.Slot, back control.Backend) error {
	l, err := control.Listen(slot.Socket())
	if err != nil {
		return err
	}
	h.server = control.NewServer(l, back)
	return nil
}

// serveNode serves on the slot that the caller has claimed for a node.
func (h *holder) serveNode(slot *control.Slot, n *running) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.node = n
	if err := h.listen(slot, nodeHolder{h, n.Node}); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Close ends serving. It may be called twice.
func (h *holder) Close() error {
	h.mu.Lock()
	h.closed = true
	server, slot := h.server, h.slot
	h.server, h.slot = nil, nil
	h.mu.Unlock() // requests in flight need it
	var err error
	if server != nil {
		err = server.Close()
	}
	if slot != nil {
		slot.Close()
	}
	return err
}

// Node describes the process. See control.Backend.
func (h *holder) Node() control.NodeInfo {
	h.mu.Lock()
	r, n := h.node, len(h.feeds)
	h.mu.Unlock()
	var i control.NodeInfo
	if r != nil {
		i = r.info()
	}
	i.PID, i.Role, i.Started, i.Feeds = os.Getpid(), h.command, h.started, n
	return i
}

// Facts tells how it stands with the node. See control.Backend.
func (h *holder) Facts(ctx context.Context, k feed.Key) (diagnosis.Facts, error) {
	h.mu.Lock()
	r := h.node
	h.mu.Unlock()
	if r == nil {
		return diagnosis.Facts{}, control.ErrNoNode
	}
	f := r.facts(ctx, k, true)
	f.Node.Command, f.Node.PID = h.command, os.Getpid()
	return f, nil
}

// Feeds lists the feeds that are held. See control.Backend.
func (h *holder) Feeds() []control.OpenFeed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.feeds)
}

// Feed finds a feed that is held. See control.Backend.
func (h *holder) Feed(k feed.Key) (control.OpenFeed, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range h.feeds {
		if of.Feed.Key() == k {
			return of, true
		}
	}
	return control.OpenFeed{}, false
}
