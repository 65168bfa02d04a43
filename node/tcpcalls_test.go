package node_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
)

// DialTCP returns when its feed is closed, with a stream that would go on and without.
func TestDialTCPEndsWithFeed(t *testing.T) {
	w, r := start(t, node.Config{Network: "none"}), start(t, node.Config{Network: "none"})
	l, err := w.ListenTCP("127.0.0.1:0", node.TCPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nobody := fmt.Sprintf("127.0.0.1:%d", quietPort(t))
	for _, x := range []struct {
		name, addr string
		close      func(*feed.Feed) error
	}{
		{"connected, CloseFeed", l.Addr().String(), func(f *feed.Feed) error { return r.CloseFeed(f.Key()) }},
		{"connected, closed by itself", l.Addr().String(), (*feed.Feed).Close},
		{"not connected, CloseFeed", nobody, func(f *feed.Feed) error { return r.CloseFeed(f.Key()) }},
		{"not connected, closed by itself", nobody, (*feed.Feed).Close},
	} {
		t.Run(x.name, func(t *testing.T) {
			wf := writer(t, w, 1)
			rf := reader(t, r, wf.Key(), node.JoinOptions{})
			failed := r.Watch(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.DialTCP(t.Context(), x.addr, wf.Key(), node.TCPOptions{}) }()
			if x.addr == nobody {
				for e := range failed {
					if e.Type == node.DialFailed {
						break
					}
				}
			} else {
				wantBlock(t, rf, 0)
			}
			if err := x.close(rf); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, node.ErrNotOpen) {
					t.Errorf("DialTCP: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("DialTCP still runs")
			}
			waitFor(t, "the stream ends", func() bool { return len(r.Engine().Streams()) == 0 })
		})
	}
}
