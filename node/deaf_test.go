package node_test

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	libproto "github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// deaf is a stream that is read up to some bytes, no further, and never ended.
type deaf struct {
	network.Stream
	left int
	once sync.Once
	full chan struct{} // closed when no more is read
	end  chan struct{}
}

func (d *deaf) Read(p []byte) (int, error) {
	if d.left <= 0 {
		d.once.Do(func() { close(d.full) })
		<-d.end
		return 0, io.EOF
	}
	n, err := d.Stream.Read(p[:min(len(p), d.left)])
	d.left -= n
	return n, err
}

func (d *deaf) Close() error { return nil }

// A remote that has stopped reading does not keep a node from closing, whatever the transport.
func TestCloseWhileRemoteIsDeaf(t *testing.T) {
	for name, addr := range map[string]string{
		"TCP": "/ip4/127.0.0.1/tcp/0", "QUIC": "/ip4/127.0.0.1/udp/0/quic-v1", "WebTransport": "/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, node.Config{Listen: []ma.Multiaddr{ma.StringCast(addr)}, Network: "none"})
			f, err := w.Open(t.Context(), store.Memory(), feed.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 16 { // more than the windows of all transports
				if _, err := f.Append(t.Context(), make([]byte, 2<<20)); err != nil {
					t.Fatal(err)
				}
			}
			share(t, w, f, node.JoinOptions{})
			h, err := libp2p.New(libp2p.NoListenAddrs)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if err := h.Connect(t.Context(), info(w)); err != nil {
				t.Fatal(err)
			}
			s, err := h.NewStream(t.Context(), w.ID(), libproto.ID(protocol.NativeID))
			if err != nil {
				t.Fatal(err)
			}
			d := &deaf{Stream: s, left: 1 << 20, full: make(chan struct{}), end: make(chan struct{})}
			e := protocol.New(protocol.Config{})
			defer e.Close()
			defer close(d.end)
			g, err := feed.Open(t.Context(), store.Memory(), feed.Options{Key: f.Key()})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if err := e.Add(g, protocol.FeedOptions{}); err != nil {
				t.Fatal(err)
			}
			go e.NewStream(d, protocol.StreamOptions{LocalID: []byte(h.ID()), RemoteID: []byte(w.ID()), Feeds: []feed.Key{f.Key()}}).Run(t.Context())
			<-d.full
			for last := uint64(0); ; time.Sleep(time.Second) { // until nothing more can be sent
				_, out := w.Traffic()
				if out == last {
					break
				}
				last = out
			}
			closed := make(chan error, 1)
			go func() { closed <- w.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Error("Close waits for the remote")
				_ = s.Reset() // or it would wait for ever
			}
		})
	}
}
