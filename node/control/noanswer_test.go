package control_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/node/control"
)

// TestNoAnswer: a process that listens and does not answer, as one that is stopped, keeps
// nobody waiting, and can be named.
func TestNoAnswer(t *testing.T) {
	h := openHome(t)
	slot, err := h.Claim("node")
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Close()
	l, err := control.Listen(slot.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := control.NewClient(slot.Socket())
	defer c.Close()
	c.SetPatience(20 * time.Millisecond)
	if _, err := c.Node(t.Context()); !errors.Is(err, control.ErrNoAnswer) {
		t.Errorf("Node: %v", err)
	}
	if _, err := c.Feeds(t.Context()); !errors.Is(err, control.ErrNoAnswer) {
		t.Errorf("Feeds: %v", err)
	}
	if _, err := c.Peers(t.Context()); !errors.Is(err, control.ErrNoAnswer) {
		t.Errorf("Peers: %v", err)
	}
	if err := c.SetPeerRules(t.Context(), nil); !errors.Is(err, control.ErrNoAnswer) {
		t.Errorf("SetPeerRules: %v", err)
	}
	if s := h.Slots(); len(s) != 1 || s[0].PID != os.Getpid() {
		t.Errorf("slots: %+v", s)
	}
}
