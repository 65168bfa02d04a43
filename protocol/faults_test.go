package protocol_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestFaults: one message each that is the remote's fault.
func TestFaults(t *testing.T) {
	nonce := bytes.Repeat([]byte{7}, 24)
	for name, c := range map[string]struct {
		frame []byte
		want  error
	}{
		"frame too large":       {[]byte{0xff, 0xff, 0xff, 0x7f}, wire.ErrFrameTooLarge},
		"unopened channel":      {wire.AppendWant(nil, 5, wire.Want{Length: 8192}), protocol.ErrUnopened},
		"channel number":        {wire.AppendWant(nil, 5000, wire.Want{Length: 8192}), wire.ErrChannel},
		"huge want":             {wire.AppendWant(nil, 0, wire.Want{Length: 1 << 40}), wire.ErrRange},
		"data without anything": {wire.AppendData(nil, 0, wire.Data{Index: 1}), protocol.ErrEmptyData},
		"bitfield too long":     {wire.AppendHave(nil, 0, wire.Have{Length: 1 << 20, HasBitfield: true, Bitfield: []byte{0x83, 0x80, 0x80, 0x80, 0x80, 0x10}}), wire.ErrRLE},
		"broken bitfield":       {wire.AppendHave(nil, 0, wire.Have{Length: 1 << 20, HasBitfield: true, Bitfield: []byte{0x04, 1}}), wire.ErrRLE},
		"short discovery key":   {[]byte{5, 0, 0x0a, 2, 1, 1}, wire.ErrLength},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				b := newSide(t, "b")
				g := b.clone(feed.Key(nonce2key(nonce)), false)
				x := dial(t, b, "evil", protocol.StreamOptions{})
				x.hello(g.Key())
				x.next(wire.TypeHandshake)
				x.send(c.frame)
				err := wait(t, "end", x.done)
				if !errors.Is(err, c.want) || !isRemote(err) {
					t.Error("ended with", err, "want", c.want)
				}
				x.conn.Close()
			})
		})
	}
}

func nonce2key(n []byte) (k [32]byte) { copy(k[:], n); return k }

// TestHugeAnnouncements cost neither time nor memory, and do no harm.
func TestHugeAnnouncements(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(100)
		g := b.clone(f.Key(), false)
		x := dial(t, b, "braggart", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
		x.hello(f.Key())
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 0, Length: wire.MaxBlocks}))
		for i := range uint64(2000) {
			x.send(wire.AppendHave(nil, 0, wire.Have{Start: i << 35, Length: 1 << 30}))
			x.send(wire.AppendUnhave(nil, 0, wire.Unhave{Start: i << 34, Length: 1 << 40}))
		}
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 0, Length: wire.MaxBlocks}))
		time.Sleep(time.Second)
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
		time.Sleep(30 * time.Second)
		same(t, g, 0, 100)
		l.close()
		<-l.errA
		<-l.errB
		x.s.Close()
		<-x.done
		x.conn.Close()
	})
}

// TestRaggedMaps: a remote that announces ragged maps on many feeds does not make us keep more than
// the bound, and honest sources still serve.
func TestRaggedMaps(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		ragged := wire.EncodeRLE([]byte{}, bytes.Repeat([]byte{0xaa}, 131072))
		const feeds = 300 // 40 MiB
		var keys []feed.Key
		for range feeds {
			f := a.create(1)
			keys = append(keys, f.Key())
			b.clone(f.Key(), true)
		}
		x := dial(t, b, "ragged", protocol.StreamOptions{})
		go func() {
			for {
				if _, err := x.r.Next(); err != nil {
					return
				}
			}
		}()
		nonce := bytes.Repeat([]byte{7}, wire.NonceLen)
		for i, k := range keys {
			c := protocol.Capability(k, x.id, x.peer, nonce)
			x.send(wire.AppendFeed(nil, uint64(i), wire.Feed{DiscoveryKey: k.Discovery(), Nonce: nonce, Capability: c[:]}))
			x.send(wire.AppendHandshake(nil, uint64(i), wire.Handshake{Live: true}))
		}
		time.Sleep(time.Second)
		for i := range keys {
			x.send(wire.AppendHave(nil, uint64(i), wire.Have{Length: 1 << 20, HasBitfield: true, Bitfield: ragged}))
		}
		time.Sleep(time.Second)
		if n := protocol.Maps(x.s); n > protocol.MaxMaps || n < protocol.MaxMaps*15/16 {
			t.Error("maps:", n)
		}
		if st := x.s.Stats(); st.Ended || st.Feeds != feeds {
			t.Error(st)
		}
		x.s.Close()
		<-x.done
		if n := protocol.Maps(x.s); n != 0 {
			t.Error("maps after the end:", n)
		}
		x.conn.Close()
	})
}
