package feed_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// unsoundFeed is what a writer signs who gives each half of a feed of 2n blocks another size than the
// proofs of the other half do.
func unsoundFeed(t *testing.T, n uint64) (key feed.Key, values [][]byte, proofs []feed.Proof) {
	t.Helper()
	secret := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	join := func(l, r merkle.Node) merkle.Node {
		p, err := merkle.Join(l, r)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	nodes := map[uint64]merkle.Node{}
	for i := range 2 * n {
		values = append(values, bytes.Repeat([]byte{'A' + byte(i)}, int(5+i)))
		nodes[2*i] = merkle.Leaf(i, values[i])
	}
	if n == 2 {
		nodes[1], nodes[5] = join(nodes[0], nodes[2]), join(nodes[4], nodes[6])
	}
	l, r := nodes[n-1], nodes[3*n-1]
	rx, lx := r, l
	rx.Size += 1 << 40
	lx.Size += 1 << 40
	root := join(l, rx)
	if root != join(lx, r) {
		t.Fatal("the halves do not have one root")
	}
	hash := merkle.TreeHash([]merkle.Node{root})
	sig := ed25519.Sign(secret, hash[:])
	for i := range 2 * n {
		p := feed.Proof{Index: i, Value: values[i], Signature: sig}
		if n == 2 {
			p.Nodes = append(p.Nodes, nodes[merkle.Sibling(2*i)])
		}
		if i < n {
			p.Nodes = append(p.Nodes, rx)
		} else {
			p.Nodes = append(p.Nodes, lx)
		}
		proofs = append(proofs, p)
	}
	return feed.Key(secret.Public().(ed25519.PublicKey)), values, proofs
}

// TestUnsoundWriter: of a tree in which each half has another size by the proofs of the other one,
// the half that comes first stands. Nothing of it moves or grows, and nothing more is taken.
func TestUnsoundWriter(t *testing.T) {
	for _, c := range []struct {
		n     uint64
		order []uint64
		batch bool
	}{
		{1, []uint64{0, 1}, false}, {1, []uint64{1, 0}, false}, {1, []uint64{0, 1}, true}, {1, []uint64{1, 0}, true},
		{2, []uint64{0, 3, 1}, false}, {2, []uint64{2, 1}, false}, {2, []uint64{3, 2, 0}, true}, {2, []uint64{0, 2}, true},
	} {
		key, values, proofs := unsoundFeed(t, c.n)
		f := open(t, store.Memory(), feed.Options{Key: key})
		var err error
		var batch []feed.Proof
		for _, i := range c.order {
			if batch = append(batch, proofs[i]); c.batch {
				continue
			}
			if perr := f.Put(t.Context(), proofs[i]); err == nil {
				err = perr
			}
		}
		if c.batch {
			_, err = f.Apply(t.Context(), batch)
		}
		if !errors.Is(err, feed.ErrUnsound) || errors.Is(err, feed.ErrInvalidProof) || !errors.Is(f.Stats().Err, feed.ErrUnsound) {
			t.Errorf("%+v: %v; stats %v", c, err, f.Stats().Err)
		}
		first := c.order[0] < c.n
		for i, v := range values {
			b, err := f.Local(uint64(i))
			if other := (uint64(i) < c.n) != first; err == nil && (other || !bytes.Equal(b, v)) {
				t.Errorf("%+v: block %d is %q", c, i, b)
			} else if uint64(i) == c.order[0] && err != nil {
				t.Errorf("%+v: block %d: %v", c, i, err)
			}
		}
		if size, err := f.BlockSize(c.order[0]); err != nil || size != uint64(len(values[c.order[0]])) {
			t.Errorf("%+v: block %d has %d bytes, %v", c, c.order[0], size, err)
		}
		f.Close()
	}
}
