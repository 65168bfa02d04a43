package feed_test

import (
	"bytes"
	"crypto/ed25519"
	"sync/atomic"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// readCounter counts what is read of the bitfield.
type readCounter struct {
	store.Storage
	read *atomic.Int64
}

func (c readCounter) Open(name string, create bool) (store.File, error) {
	f, err := c.Storage.Open(name, create)
	if s, ok := f.(store.Sparse); ok && err == nil && name == "bitfield" {
		return bitfieldReader{s, c.read}, nil
	}
	return f, err
}

type bitfieldReader struct {
	store.Sparse
	read *atomic.Int64
}

func (f bitfieldReader) ReadAt(b []byte, off int64) (int, error) {
	f.read.Add(int64(len(b)))
	return f.Sparse.ReadAt(b, off)
}

// TestLongestFeed: a writer can sign the longest feed there is and serve its last block. The bitfield
// of its reader is 1.9 GB long, and nearly all of that a hole: opening it costs what is there.
func TestLongestFeed(t *testing.T) {
	secret := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{10}, 32))
	key, last, value := feed.Key(secret.Public().(ed25519.PublicKey)), uint64(feed.MaxLength-1), []byte("x")
	p := feed.Proof{Index: last, Value: value}
	cur := merkle.Leaf(last, value)
	for merkle.RightSpan(cur.Index)-merkle.LeftSpan(cur.Index) < 2*last {
		sib := merkle.Node{Index: merkle.Sibling(cur.Index), Hash: merkle.Hash{1, 2, 3}}
		p.Nodes = append(p.Nodes, sib)
		var err error
		if cur, err = merkle.Join(sib, cur); err != nil {
			t.Fatal(err)
		}
	}
	hash := merkle.TreeHash([]merkle.Node{cur})
	p.Signature = ed25519.Sign(secret, hash[:])

	dir := t.TempDir()
	f := open(t, store.Dir(dir), feed.Options{Key: key, Sparse: true})
	if err := f.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var read atomic.Int64
	st := readCounter{store.Dir(dir), &read}
	if b, err := st.Open("bitfield", false); err != nil {
		t.Fatal(err)
	} else if _, ok := b.(store.Sparse); !ok {
		t.Skip("files do not tell of their holes here")
	} else if at, err := b.(store.Sparse).NextData(64 << 20); err != nil || at == 64<<20 {
		t.Skip("nor does this file system:", at, err)
	} else {
		b.Close()
	}
	f = open(t, st, feed.Options{Key: key, Sparse: true})
	defer f.Close()
	if b, err := f.Local(last); err != nil || !bytes.Equal(b, value) || f.Len() != feed.MaxLength {
		t.Errorf("length %d, the last block %q, %v", f.Len(), b, err)
	}
	if n := read.Load(); n > 64<<20 {
		t.Errorf("%d bytes of the bitfield were read", n)
	}
}
