package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"github.com/go-hypercore/hypercore/internal/bubble"
)

// callCounter counts the calls of Write.
type callCounter struct {
	net.Conn
	writes atomic.Int64
}

func (c *callCounter) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// securedPair is two ends of a TLS connection over a pipe; below the first the
// calls of Write are counted.
func securedPair(t *testing.T) (a, b sec.SecureConn, below *callCounter) {
	t.Helper()
	transport := func() (*tlsTransport, peer.ID) {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := newTLS(libp2ptls.ID, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tr, id
	}
	ta, ida := transport()
	tb, idb := transport()
	raw, other := net.Pipe()
	below = &callCounter{Conn: raw}
	var wg sync.WaitGroup
	var err, errB error
	wg.Go(func() { b, errB = tb.SecureInbound(context.Background(), other, ida) })
	a, err = ta.SecureOutbound(context.Background(), below, idb)
	wg.Wait()
	if err != nil || errB != nil {
		t.Fatal(err, errB)
	}
	t.Cleanup(func() { raw.Close(); other.Close() })
	return a, b, below
}

// All that is written arrives in order, whatever the sizes, and a frame of yamux
// takes one call of the kernel.
func TestRecordsTogether(t *testing.T) {
	a, b, below := securedPair(t)
	sizes := []int{1, 16 << 10, gatherFrom - 1, gatherFrom, muxFrame + 12, muxFrame + 12, 3 << 20, 100, gatherMost}
	var sent bytes.Buffer
	for i, n := range sizes {
		sent.Write(bytes.Repeat([]byte{byte(i + 1)}, n))
	}
	got := make([]byte, sent.Len())
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { _, failed = io.ReadFull(b, got) })
	at := 0
	for _, n := range sizes {
		before := below.writes.Load()
		if k, err := a.Write(sent.Bytes()[at : at+n]); k != n || err != nil {
			t.Fatalf("wrote %d of %d: %v", k, n, err)
		}
		// crypto/tls begins with records of 1400 bytes; after them:
		if n == muxFrame+12 && at > 256<<10 && below.writes.Load()-before != 1 {
			t.Errorf("a frame took %d writes", below.writes.Load()-before)
		}
		at += n
	}
	wg.Wait()
	if failed != nil || !bytes.Equal(got, sent.Bytes()) {
		t.Fatalf("something else arrived (%v)", failed)
	}
}

func TestRecordsFromSeveral(t *testing.T) {
	a, b, _ := securedPair(t)
	const each, size = 20, 40 << 10
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range each {
				a.Write(make([]byte, size))
				a.Write(make([]byte, 10))
			}
		})
	}
	n, err := io.Copy(io.Discard, io.LimitReader(b, 4*each*(size+10)))
	wg.Wait()
	if n != 4*each*(size+10) || err != nil {
		t.Fatalf("%d bytes arrived: %v", n, err)
	}
}

// A remote that does not read holds up Write, and not Close.
func TestRecordsStuck(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b, _ := securedPair(t)
		ended := make(chan error, 1)
		go func() {
			_, err := a.Write(make([]byte, muxFrame))
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		a.Close()
		if err := <-ended; err == nil {
			t.Error("Write went well")
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("Close waited %v", d)
		}
		if _, err := a.Write(make([]byte, muxFrame)); err == nil {
			t.Error("Write after Close went well")
		}
		b.Close()
	})
}
