package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	muxtest "github.com/libp2p/go-libp2p/p2p/muxer/testsuite"

	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/node"
)

// TestMuxer runs libp2p's own tests for muxers, without those that are about load or time.
func TestMuxer(t *testing.T) {
	for name, test := range muxtest.Subtests {
		if !strings.Contains(name, "Stress") && !strings.HasSuffix(name, "StreamReset") {
			t.Run(name, func(t *testing.T) { test(t, node.Muxer()) })
		}
	}
}

// budget is a scope that counts the memory reserved in it and in its spans.
type budget struct {
	network.NullScope
	mu         sync.Mutex
	used, most int
	limit      int
}

func (b *budget) BeginSpan() (network.ResourceScopeSpan, error) { return &budgetSpan{b: b}, nil }

func (b *budget) state() (used, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.most
}

type budgetSpan struct {
	network.NullScope
	b *budget
	n int
}

func (s *budgetSpan) ReserveMemory(n int, _ uint8) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.used+n > s.b.limit {
		return network.ErrResourceLimitExceeded
	}
	s.n, s.b.used = s.n+n, s.b.used+n
	s.b.most = max(s.b.most, s.b.used)
	return nil
}

func (s *budgetSpan) ReleaseMemory(n int) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if n > s.n {
		panic("more released than reserved")
	}
	s.n, s.b.used = s.n-n, s.b.used-n
}

func (s *budgetSpan) Done() { s.ReleaseMemory(s.n) }

// muxed joins two muxers, the second of which reserves in b.
func muxed(t *testing.T, b *budget) (near, far network.MuxedConn) {
	t.Helper()
	c, d := net.Pipe()
	near, err := node.Muxer().NewConn(c, false, &network.NullScope{})
	if err != nil {
		t.Fatal(err)
	}
	if far, err = node.Muxer().NewConn(d, true, b); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// pour opens a stream and writes n bytes to it, in the background after the
// first one. The other end of the stream has read that.
func pour(t *testing.T, near, far network.MuxedConn, n int) (in, out network.MuxedStream) {
	t.Helper()
	out, err := near.OpenStream(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		out.Write([]byte{1})
		out.Write(make([]byte, n-1))
	}()
	if in, err = far.AcceptStream(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(in, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return in, out
}

// TestMuxReset: a reset and its code arrive as libp2p's errors.
func TestMuxReset(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		near, far := muxed(t, &budget{limit: 1 << 30})
		in, out := pour(t, near, far, 2)
		if err := in.ResetWithError(7); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err := out.Write([]byte{1})
		var reset *network.StreamError
		if !errors.Is(err, network.ErrReset) || !errors.As(err, &reset) || reset.ErrorCode != 7 || !reset.Remote {
			t.Errorf("writing to a stream that was reset with code 7: %v", err)
		}
		near.Close()
		synctest.Wait()
		if _, err := far.AcceptStream(); err == nil {
			t.Error("a stream of a connection that has ended")
		}
	})
}

const mib = 1 << 20

// TestUnreadIsReserved: what a remote sends before it is read is reserved, and given back when it is read or the stream
// is closed; what comes after that is not counted.
func TestUnreadIsReserved(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := &budget{limit: 1 << 30}
		near, far := muxed(t, b)
		defer near.Close()
		in, _ := pour(t, near, far, 8*mib)
		synctest.Wait()
		if used, _ := b.state(); used < 8*mib-mib || used > 10*mib {
			t.Errorf("%d bytes reserved while 8 MiB wait", used)
		}
		if _, err := io.ReadFull(in, make([]byte, 8*mib-1)); err != nil {
			t.Fatal(err)
		}
		if used, _ := b.state(); used > mib {
			t.Errorf("%d bytes reserved after all was read", used)
		}
		in, out := pour(t, near, far, 8*mib)
		synctest.Wait()
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if used, _ := b.state(); used > mib {
			t.Errorf("%d bytes reserved after the stream was closed", used)
		}
		out.Write(make([]byte, 4*mib)) // nobody keeps it
		synctest.Wait()
		if used, _ := b.state(); used > mib {
			t.Errorf("%d bytes reserved for a stream that is closed", used)
		}
		far.Close()
		synctest.Wait()
		if used, _ := b.state(); used != 0 {
			t.Errorf("%d bytes reserved after the connection", used)
		}
	})
}

// TestUnreadBeyondMemory: without memory for more, a remote waits until streams are read; if nobody reads, its
// connection ends.
func TestUnreadBeyondMemory(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := &budget{limit: 4 * mib}
		near, far := muxed(t, b)
		in, _ := pour(t, near, far, 16*mib)
		time.Sleep(5 * time.Second)
		if _, err := io.ReadFull(in, make([]byte, 16*mib-1)); err != nil {
			t.Fatal(err)
		}
		if far.IsClosed() {
			t.Fatal("closed although what came was read")
		}
		if _, most := b.state(); most < 3*mib {
			t.Errorf("%d bytes were reserved at most, the limit is 4 MiB", most)
		}
		in, _ = pour(t, near, far, 16*mib)
		time.Sleep(time.Minute)
		if !far.IsClosed() {
			t.Fatal("open although nobody reads")
		}
		if _, err := io.ReadFull(in, make([]byte, 16*mib-1)); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("read ends with %v", err)
		}
		near.Close()
		synctest.Wait()
		if used, _ := b.state(); used != 0 {
			t.Errorf("%d bytes reserved after the connection", used)
		}
	})
}

// bare joins a muxer, which reserves in b, with a remote that writes frames as it likes.
func bare(t *testing.T, b *budget) (frame func(kind byte, flags uint16, id uint32, body []byte), far network.MuxedConn) {
	t.Helper()
	c, d := net.Pipe()
	t.Cleanup(func() { c.Close() })
	go io.Copy(io.Discard, c)
	far, err := node.Muxer().NewConn(d, true, b)
	if err != nil {
		t.Fatal(err)
	}
	return func(kind byte, flags uint16, id uint32, body []byte) {
		f := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
		f = binary.BigEndian.AppendUint32(f, id)
		f = binary.BigEndian.AppendUint32(f, uint32(len(body)))
		if _, err := c.Write(append(f, body...)); err != nil {
			t.Error(err)
		}
	}, far
}

// TestUnreadOfRefusedStreams: a remote that opens more streams than are accepted makes us keep nothing for those that
// yamux refuses, nor is what it sends into them reserved for longer.
func TestUnreadOfRefusedStreams(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const backlog, size = 256, 4 << 10
		b := &budget{limit: 1 << 30}
		frame, far := bare(t, b)
		for i := range uint32(5000) {
			frame(0, 1, 2*i+1, make([]byte, size)) // SYN
		}
		synctest.Wait()
		if n := node.UnreadStreams(far); n != backlog {
			t.Errorf("%d streams are counted for, %d wait to be accepted", n, backlog)
		}
		if used, _ := b.state(); used > backlog*(256<<10+size)+2*mib {
			t.Errorf("%d bytes reserved", used)
		}
		for range backlog {
			s, err := far.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if used, _ := b.state(); used != 0 || node.UnreadStreams(far) != 0 {
			t.Errorf("%d streams are counted for and %d bytes reserved after all were reset", node.UnreadStreams(far), used)
		}
		far.Close()
	})
}

// TestUnreadOfNumberUsedAgain: a stream with the number of one that the remote has reset is counted for itself.
func TestUnreadOfNumberUsedAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := &budget{limit: 1 << 30}
		frame, far := bare(t, b)
		accept := func() network.MuxedStream {
			frame(1, 1, 1, nil) // SYN
			s, err := far.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := accept()
		frame(0, 8, 1, nil) // RST
		second := accept()
		first.Close()
		for range 32 {
			frame(0, 0, 1, make([]byte, 256<<10))
		}
		synctest.Wait()
		if used, _ := b.state(); used < 8*mib-mib {
			t.Errorf("%d bytes reserved while 8 MiB wait", used)
		}
		second.Close()
		synctest.Wait()
		if used, _ := b.state(); used > mib {
			t.Errorf("%d bytes reserved after both streams were closed", used)
		}
		far.Close()
	})
}
