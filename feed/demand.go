package feed

// Demand is what is wanted from peers, a snapshot.
type Demand struct {
	// Blocks are awaited by someone, the most urgent first; at most maxDemand.
	Blocks []uint64
	// Ranges are to be downloaded, in this order: first what readers are about to
	// read, then downloads, last {0, 0, false} of a reader that is not sparse.
	// Blocks in them may be here already.
	Ranges []Range
	// Links are blocks whose full proof (Hash, with digest 0) is wanted, to show
	// that a length taken earlier is part of the one that is known now. The blocks
	// may be here.
	Links []uint64
	// Seeks are byte offsets whose block is looked for.
	Seeks []uint64
	// MinLen is the length that someone waits for, 0 none: proof of a greater
	// length than Len is wanted.
	MinLen uint64
}

// Range is a range of blocks to download.
type Range struct {
	// Start is the first block, End the one after the last; End 0: everything from
	// Start on and what comes later.
	Start, End uint64
	// Linear asks for the blocks in order, else the rarest ones come first.
	Linear bool
}

// maxDemand bounds the blocks and seeks in one Demand: more are not requested
// at a time.
const maxDemand = 4096

// Demand returns what is wanted now. It changes with each call of
// Replicator.DemandChanged, and only then.
func (f *Feed) Demand() Demand {
	f.mu.Lock()
	defer f.mu.Unlock()
	var d Demand
	if f.closing || f.frozen != nil || f.opts.ReadOnly || f.draft {
		return d
	}
	if n := min(len(f.wants.by), maxDemand); n > 0 {
		d.Blocks = make([]uint64, 0, n)
	}
	for w := f.wants.first; w != nil && len(d.Blocks) < maxDemand; w = w.next {
		d.Blocks = append(d.Blocks, w.index)
	}
	for _, s := range f.seeks[:min(len(f.seeks), maxDemand)] {
		if s.block != noBlock {
			d.Blocks = append(d.Blocks, s.block)
		} else {
			d.Seeks = append(d.Seeks, s.offset)
		}
	}
	for _, w := range f.windows {
		if w.end > w.start {
			d.Ranges = append(d.Ranges, Range{w.start, w.end, true})
		}
	}
	for _, h := range f.downloads {
		d.Ranges = append(d.Ranges, h.r)
	}
	if !f.opts.Sparse && f.secret == nil {
		d.Ranges = append(d.Ranges, Range{})
	}
	d.Links = append(d.Links, f.links...)
	for _, w := range f.lengths {
		d.MinLen = max(d.MinLen, w.length)
	}
	return d
}

// demandChanged notes that Demand is different. mu held; dispatch tells.
func (f *Feed) demandChanged() { f.demand = true }

// window is a range that a reader is about to read.
type window struct{ start, end uint64 }

func (f *Feed) openWindow(start, end uint64) *window {
	w := &window{start, end}
	f.mu.Lock()
	f.windows = append(f.windows, w)
	f.demandChanged()
	f.mu.Unlock()
	f.dispatch()
	return w
}

// moveWindow is called as the reader goes on.
func (f *Feed) moveWindow(w *window, start, end uint64) {
	f.mu.Lock()
	w.start, w.end = start, end
	f.demandChanged()
	f.mu.Unlock()
	f.dispatch()
}

func (f *Feed) closeWindow(w *window) {
	f.mu.Lock()
	for i, o := range f.windows {
		if o == w {
			f.windows = append(f.windows[:i], f.windows[i+1:]...)
			break
		}
	}
	f.demandChanged()
	f.mu.Unlock()
	f.dispatch()
}
