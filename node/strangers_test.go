package node_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/node"
)

// Strangers who open a stream and go leave nothing behind but what they did wrong.
func TestStrangersAreForgotten(t *testing.T) {
	t.Parallel()
	n := start(t, node.Config{Network: "none"})
	var ids []peer.ID
	for i := range 12 {
		id, open := stranger(t, n)
		if i%2 == 0 {
			offend(t, open)
			ids = append(ids, id)
			continue
		}
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte{0}) // a keep-alive
		awaitThat(t, "the stream", func() bool { e, _ := entry(n, id); return e.Stream })
		s.CloseWrite()
	}
	awaitThat(t, "strangers to be forgotten", func() bool { return node.Remembered(n) == 0 && n.Status().Streams == 0 })
	for _, id := range ids {
		if e, _ := entry(n, id); e.Offences != 1 || e.Refused.IsZero() {
			t.Errorf("after an offence: %+v", e)
		}
	}
}

// A stream of strangers who do wrong displaces of the offenders those that would be
// welcome again first.
func TestOffendersAreBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := node.Offenders{}
		wrong := errors.New("wrong")
		node.NoteOffence(m, "often", wrong)
		node.NoteOffence(m, "often", wrong)
		for i := range node.MaxOffenders + 5 {
			time.Sleep(time.Microsecond)
			node.NoteOffence(m, peer.ID(fmt.Sprint(i)), wrong)
		}
		if len(m) != node.MaxOffenders {
			t.Errorf("%d offenders remembered", len(m))
		}
		for id, want := range map[peer.ID]bool{"often": true, "0": false, "5": false, "6": true, peer.ID(fmt.Sprint(node.MaxOffenders + 4)): true} {
			if _, ok := m[id]; ok != want {
				t.Errorf("%s remembered: %v", id, ok)
			}
		}
	})
}
