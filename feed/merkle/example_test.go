package merkle_test

import (
	"fmt"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// A reader of 5 blocks fetches blocks 3 to 8 of a log that has 13 now.
func ExampleProveRun() {
	var log merkle.Accumulator
	tree := map[uint64]merkle.Node{}
	var local, held bitfield.Bits
	for i := range uint64(13) {
		nodes, err := log.Append(merkle.Leaf(i, []byte{byte(i)}), nil)
		if err != nil {
			panic(err)
		}
		for _, n := range nodes {
			tree[n.Index] = n
			local.Set(n.Index, true)
			if i < 5 {
				held.Set(n.Index, true)
			}
		}
	}
	list, verifiedBy, err := merkle.ProveRun(&local, nil, 3, 6, 0, 0, nil)
	fmt.Println("to a reader that has nothing", list, "signed length", verifiedBy/2, err)

	first, last := merkle.DigestRun(&held, 3, 6, 26)
	list, verifiedBy, err = merkle.ProveRun(&local, nil, 3, 6, first, last, nil)
	fmt.Println("to this one", list, "signed length", verifiedBy/2, err)

	reader := merkle.Verifier{Length: 5, Word: held.Word, Held: func(n uint64) (merkle.Node, bool) {
		if !held.Get(n) {
			return merkle.Node{}, false
		}
		return tree[n], true
	}}
	run := merkle.Run{Start: 3}
	for i := range uint64(6) {
		run.Leaves = append(run.Leaves, merkle.Leaf(3+i, []byte{byte(3 + i)}))
	}
	for _, n := range list {
		run.Nodes = append(run.Nodes, tree[n])
	}
	var r merkle.Result
	err = reader.VerifyRun(run, &r)
	fmt.Println("length", r.Length, "as signed", r.TreeHash == log.TreeHash(), "unproven", r.Unproven, "to store", len(r.Store), err)
	// Output:
	// to a reader that has nothing [4 18 1 21 24] signed length 13 <nil>
	// to this one [18 21 24] signed length 13 <nil>
	// length 13 as signed true unproven [] to store 13 <nil>
}
