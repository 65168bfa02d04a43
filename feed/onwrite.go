package feed

import "fmt"

// Options.OnWrite is called between verifying and writing, with wmu held and without
// mu: nothing else is stored meanwhile, and it may read.

// refusal wraps an error of OnWrite.
func refusal(index uint64, err error) error {
	if err != nil {
		err = fmt.Errorf("feed: OnWrite of block %d: %w", index, err)
	}
	return err
}

// offerAppended shows blocks that are about to be appended at index.
func (f *Feed) offerAppended(index uint64, blocks [][]byte) error {
	for i, b := range blocks {
		if err := refusal(index+uint64(i), f.opts.OnWrite(index+uint64(i), b)); err != nil {
			return err
		}
	}
	return nil
}

// offerPlaced shows the values that are about to be written. The first one that is
// refused and those behind it are written no more.
func (f *Feed) offerPlaced() error {
	a := &f.apply
	if f.opts.OnWrite == nil {
		return nil
	}
	for i := range a.placed {
		v := &a.placed[i]
		if err := refusal(v.index, f.opts.OnWrite(v.index, v.value)); err != nil {
			a.refused = v.index
			clear(a.placed[i:])
			a.placed = a.placed[:i]
			return err
		}
	}
	return nil
}

// before is how many of the proofs come before the one whose block was refused.
func (f *Feed) before(batch []Proof) (n int) {
	for n < len(batch) && !batch[n].brings(f.apply.refused) {
		n++
	}
	return n
}

// brings reports whether block i is in the proof.
func (p *Proof) brings(i uint64) bool {
	return p.Value != nil && i >= p.Index && i-p.Index < max(1, uint64(len(p.Sizes)))
}
