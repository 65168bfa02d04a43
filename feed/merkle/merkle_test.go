package merkle_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

func Example() {
	// A writer appends three blocks and keeps every node it gets.
	var log merkle.Accumulator
	held := map[uint64]merkle.Node{}
	var bits bitfield.Bits
	for i, block := range []string{"a", "b", "c"} {
		nodes, err := log.Append(merkle.Leaf(uint64(i), []byte(block)), nil)
		if err != nil {
			panic(err)
		}
		for _, n := range nodes {
			held[n.Index] = n
			merkle.SetNode(&bits, n.Index)
		}
	}
	signed := log.TreeHash()
	fmt.Println("tree hash", hex.EncodeToString(signed[:4]))

	// A reader that has nothing asks for block 1.
	list, verifiedBy, err := merkle.Prove(&bits, nil, 1, 0, false, nil)
	fmt.Println("proof", list, "signed length", verifiedBy/2, err)

	reader := merkle.Verifier{Held: func(uint64) (merkle.Node, bool) { return merkle.Node{}, false }}
	leaf := merkle.Leaf(1, []byte("b"))
	proof := merkle.Proof{Block: 1, Leaf: &leaf}
	for _, n := range list {
		proof.Nodes = append(proof.Nodes, held[n])
	}
	var r merkle.Result
	err = reader.Verify(proof, &r)
	fmt.Println("length", r.Length, "as signed", r.TreeHash == signed, err)
	// Output:
	// tree hash 831f94a8
	// proof [0 4] signed length 3 <nil>
	// length 3 as signed true <nil>
}

func TestJoinRefuses(t *testing.T) {
	a, b := merkle.Node{Index: 0, Size: 1}, merkle.Node{Index: 2, Size: merkle.MaxInt - 1}
	if _, err := merkle.Join(a, b); err != nil {
		t.Errorf("the largest sum: %v", err)
	}
	b.Size++
	if _, err := merkle.Join(a, b); !errors.Is(err, merkle.ErrSize) {
		t.Errorf("%v", err)
	}
	a.Size, b.Size = 1<<63, 1<<63
	if _, err := merkle.Join(a, b); !errors.Is(err, merkle.ErrSize) {
		t.Errorf("a sum of 2^64: %v", err)
	}
	for _, i := range []uint64{0, 1, 4, 6} {
		if _, err := merkle.Join(merkle.Node{}, merkle.Node{Index: i}); !errors.Is(err, merkle.ErrSiblings) {
			t.Errorf("0 and %d: %v", i, err)
		}
	}
}

func TestAccumulatorRefuses(t *testing.T) {
	var a merkle.Accumulator
	if _, err := a.Append(merkle.Leaf(1, nil), nil); !errors.Is(err, merkle.ErrSiblings) {
		t.Errorf("%v", err)
	}
	if _, err := a.Append(merkle.Node{Size: merkle.MaxInt}, nil); err != nil {
		t.Fatal(err)
	}
	if dst, err := a.Append(merkle.Node{Index: 2, Size: 1}, nil); !errors.Is(err, merkle.ErrSize) || len(dst) != 0 || a.Len() != 1 || a.ByteLen() != merkle.MaxInt {
		t.Errorf("%v", err)
	}
	for _, list := range [][]uint64{{2}, {0, 4}, {3, 9, 13}, {3, 3}, {8, 3}, {1, 0}, {merkle.MaxInt + 1}, {1<<64 - 1}} {
		var roots []merkle.Node
		for _, i := range list {
			roots = append(roots, merkle.Node{Index: i})
		}
		if _, err := merkle.NewAccumulator(roots); !errors.Is(err, merkle.ErrRoots) {
			t.Errorf("%d: %v", list, err)
		}
	}
	if _, err := merkle.NewAccumulator([]merkle.Node{{Index: 1, Size: merkle.MaxInt}, {Index: 4, Size: 1}}); !errors.Is(err, merkle.ErrSize) {
		t.Errorf("%v", err)
	}
	full, err := merkle.NewAccumulator([]merkle.Node{{Index: 1<<52 - 1}})
	if err != nil || full.Len() != merkle.MaxLength {
		t.Errorf("%v", err)
	}
}

// TestAccumulator appends one by one, reopening from the roots each time.
func TestAccumulator(t *testing.T) {
	ref := newReference(t, 100, 100, false)
	a := new(merkle.Accumulator)
	held := map[uint64]merkle.Node{}
	for i, data := range ref.data {
		c := a.Clone()
		nodes, err := a.Append(merkle.Leaf(uint64(i), data), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			held[n.Index] = n
		}
		if c.Len() != uint64(i) || !slices.Equal(c.Roots(), ref.roots(uint64(i))) {
			t.Fatalf("the clone changed at %d", i)
		}
		if a, err = merkle.NewAccumulator(slices.Clone(a.Roots())); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.Roots(), ref.roots(uint64(i+1))) {
			t.Fatalf("roots at %d: %v", i+1, a.Roots())
		}
	}
	if len(held) != len(ref.nodes) {
		t.Fatalf("%d nodes, want %d", len(held), len(ref.nodes))
	}
	for i, n := range held {
		if n != ref.nodes[i] {
			t.Fatalf("node %d", i)
		}
	}
}

func TestSignable9(t *testing.T) {
	s := merkle.Signable9(merkle.Hash{1, 2, 3}, 0x0102030405)
	if got, want := hex.EncodeToString(s[:3])+hex.EncodeToString(s[31:]), "010203"+"00"+"0000000102030405"; got != want {
		t.Errorf("%s", got)
	}
}

// TestAllocations holds what callers on the hot paths rely on.
func TestAllocations(t *testing.T) {
	ref := newReference(t, 64, 64, false)
	w, r := writer(ref, 64), sparse(t, writer(ref, 64), newRand(1), 3)
	var local, remote bitfield.Bits
	for n := range w.held {
		local.Set(n, true)
	}
	remote.Set(1000, true)
	small, large := make([]byte, 512), make([]byte, 64<<10)
	dst := make([]uint64, 0, merkle.MaxRunNodes)
	proof, _ := w.serve(t, nil, 40, 0, false)
	verifier := r.verifier()
	run, _ := w.serveRun(t, nil, 13, 40, 0, 0)
	a, b := ref.nodes[0], ref.nodes[2]
	for name, f := range map[string]func(){
		"Leaf, small": func() { merkle.Leaf(1, small) },
		"Leaf, large": func() { merkle.Leaf(1, large) },
		"Join":        func() { merkle.Join(a, b) },
		"Prove":       func() { merkle.Prove(&local, &remote, 40, 0, false, dst) },
		"Digest":      func() { merkle.Digest(&local, 100, 128) },
		"ProveRun":    func() { merkle.ProveRun(&local, &remote, 13, 40, 0b1010, 1, dst) },
		"DigestRun":   func() { merkle.DigestRun(&local, 100, 20, 256) },
		"VerifyRun": func() {
			if err := verifier.VerifyRun(run, &r.res); err != nil {
				t.Fatal(err)
			}
		},
		"TreeHash": func() { merkle.TreeHash(ref.roots(0)) },
		"Verify": func() {
			if err := verifier.Verify(proof, &r.res); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n >= 1 && !raceEnabled {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
