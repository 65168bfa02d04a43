package protocol_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestLateExtension: two sides that have a stream register extensions on a second feed, in another
// order, and hear each other on it.
func TestLateExtension(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f, second := a.create(1), a.create(1)
		b.clone(f.Key(), false)
		b.clone(second.Key(), false)
		heard := make(chan string, 16)
		register := func(s *side, on *feed.Feed, name string) *protocol.Extension {
			x, err := s.e.RegisterExtension(on.DiscoveryKey(), name, func(p *protocol.Peer, m []byte) {
				heard <- fmt.Sprintf("%s at %s: %s", name, s.id, m)
			})
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		register(a, f, "m")
		register(b, f, "m")
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
		synctest.Wait()
		z, c := register(a, second, "z"), register(a, second, "c")
		register(b, second, "c")
		bz := register(b, second, "z")
		if err := l.B.Offer(second.Key()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		late := register(a, second, "late")
		register(b, second, "late")
		synctest.Wait()
		for _, x := range []*protocol.Extension{z, c, bz, late} {
			if n := x.Broadcast([]byte("hello")); n != 1 {
				t.Errorf("sent to %d", n)
			}
			synctest.Wait()
		}
		for _, want := range []string{"z at b: hello", "c at b: hello", "z at a: hello", "late at b: hello"} {
			select {
			case got := <-heard:
				if got != want {
					t.Errorf("heard %q, want %q", got, want)
				}
			default:
				t.Errorf("not heard: %q", want)
			}
		}
		for name, twice := range map[string]bool{"z": true, "": false, strings.Repeat("n", wire.MaxExtensionName+1): false} {
			if _, err := a.e.RegisterExtension(second.DiscoveryKey(), name, nil); !errors.Is(err, protocol.ErrExtensionName) {
				t.Errorf("name %.10q, twice %v: %v", name, twice, err)
			}
		}
		l.close()
		<-l.errA
		<-l.errB
	})
}
