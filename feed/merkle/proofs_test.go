package merkle_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

type reply struct {
	Block, Digest     uint64
	Nodes, HashNodes  []uint64
	VerifiedBy        uint64
	Error             string
	RemoteTreeAfter   []uint64
	ServerLength      uint64
	Downloaded        []uint64
	RequesterTreeBits []uint64
	Replies, Requests []reply
	Sequence          []reply
	SourceLength      uint64
	ServerTreeBits    []uint64
	Bits              []uint64
	Node              uint64
	DigestAfterReopen uint64
}

func (r reply) check(t *testing.T, local bitmap, remote merkle.MutableBits) {
	t.Helper()
	got, v, err := merkle.Prove(local, remote, r.Block, r.Digest, false, []uint64{99})
	if r.Error != "" {
		if !errors.Is(err, merkle.ErrNoProof) || len(got) != 1 {
			t.Errorf("block %d: %d, %v, want no proof", r.Block, got, err)
		}
		return
	}
	if err != nil || v != r.VerifiedBy || !slices.Equal(got[1:], r.Nodes) {
		t.Errorf("block %d, digest %b: %d by %d, %v; want %d by %d", r.Block, r.Digest, got[1:], v, err, r.Nodes, r.VerifiedBy)
	}
	if r.HashNodes == nil {
		return
	}
	got, v, err = merkle.Prove(local, nil, r.Block, r.Digest, true, nil)
	if err != nil || v != r.VerifiedBy || !slices.Equal(got, r.HashNodes) {
		t.Errorf("block %d, digest %b, hash: %d by %d, %v; want %d by %d", r.Block, r.Digest, got, v, err, r.HashNodes, r.VerifiedBy)
	}
}

func TestProofVectors(t *testing.T) {
	var v struct {
		Single, States, Digests, Stateful, Sparse, DigestCases []reply
	}
	vectors(t, "proofs", &v)
	for _, s := range v.Single {
		for _, r := range s.Replies {
			r.check(t, full(s.ServerLength), bitmap{})
			r.check(t, full(s.ServerLength), nil)
		}
	}
	for _, s := range v.States {
		have := nodesOf(s.RequesterTreeBits)
		for _, r := range s.Requests {
			if got := merkle.Digest(have, r.Block, 2*s.ServerLength); got != r.Digest {
				t.Errorf("of %d with %d: Digest(%d) = %b, want %b", s.ServerLength, s.Downloaded, r.Block, got, r.Digest)
			}
			r.check(t, full(s.ServerLength), bitmap{})
		}
	}
	for _, r := range v.Digests {
		r.check(t, full(r.ServerLength), bitmap{})
		r.check(t, full(r.ServerLength), nil)
	}
	for _, s := range v.Stateful {
		remote := bitmap{}
		for _, r := range s.Sequence {
			r.check(t, full(s.ServerLength), remote)
			if !slices.Equal(remote.sorted(), r.RemoteTreeAfter) {
				t.Errorf("remote after block %d, digest %b: %d, want %d", r.Block, r.Digest, remote.sorted(), r.RemoteTreeAfter)
			}
		}
	}
	for _, s := range v.Sparse {
		for _, r := range s.Replies {
			r.check(t, nodesOf(s.ServerTreeBits), bitmap{})
		}
	}
	for _, c := range v.DigestCases {
		b := nodesOf(c.Bits)
		if c.Node%2 == 1 {
			continue // only leaves are asked for
		}
		touched := uint64(0)
		for n := range b {
			touched = max(touched, 8*(n/8+1))
		}
		if got := merkle.Digest(b, c.Node/2, touched); got != c.Digest {
			t.Errorf("%d: Digest(%d, %d) = %b, want %b", c.Bits, c.Node, touched, got, c.Digest)
		}
		if got := merkle.Digest(b, c.Node/2, 16384); got != c.DigestAfterReopen {
			t.Errorf("%d: Digest(%d, 16384) = %b, want %b", c.Bits, c.Node, got, c.DigestAfterReopen)
		}
	}
}
