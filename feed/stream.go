package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

const (
	// readRunBytes and readRunBlocks bound one read of adjacent blocks: large
	// enough that the cost of the read is spread over many blocks, small enough
	// that a consumer who stops early has wasted little.
	readRunBytes  = 256 << 10
	readRunBlocks = 1024

	// readAhead is how many blocks behind the one being read are asked of peers.
	readAhead = 256
)

// Block is one block of a feed.
type Block struct {
	Index uint64
	Data  []byte // the receiver's own
}

// ReadOptions of [Feed.Blocks]. The zero value reads all blocks from the first
// to the last, and those that come while it reads.
type ReadOptions struct {
	// Start is the first block.
	Start uint64
	// End is the block before which to stop; blocks up to there that do not exist
	// yet are waited for. 0: stop at the end of the feed (see Snapshot and Live).
	End uint64
	// Tail starts at the end of the feed instead of at Start.
	Tail bool
	// Snapshot takes the end of the feed once, when the iteration begins.
	Snapshot bool
	// Live does not stop at the end of the feed but waits for more. Only End or
	// the context ends it.
	Live bool
}

// Blocks returns the blocks in order. Blocks that are not here are waited for
// and asked of peers, some of them ahead of time. The iteration ends after the
// last block, or with one error: the context's, ErrClosed, ErrOutOfBounds for an
// End before Start, or of reading. Each use of the result begins anew.
func (f *Feed) Blocks(ctx context.Context, o ReadOptions) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		if o.End > 0 && o.End < o.Start {
			yield(Block{}, fmt.Errorf("%w: read from %d to %d", ErrOutOfBounds, o.Start, o.End))
			return
		}
		s := blockStream{feed: f, ctx: ctx, next: o.Start, end: o.End, live: o.Live}
		if o.Tail {
			s.next = f.Len()
		}
		if o.Snapshot && !o.Live && o.End == 0 {
			s.end = f.Len()
			if s.end == 0 {
				return
			}
		}
		defer s.close()
		s.run(yield)
	}
}

// blockStream is one iteration of Blocks.
type blockStream struct {
	feed      *Feed
	ctx       context.Context
	next, end uint64 // end 0: the feed's
	live      bool

	ahead    *Download // what is asked of peers ahead of next; nil: nothing
	aheadEnd uint64
	sizes    []uint64
}

func (s *blockStream) close() {
	if s.ahead != nil {
		s.ahead.Cancel()
	}
}

func (s *blockStream) run(yield func(Block, error) bool) {
	for {
		if err := s.ctx.Err(); err != nil {
			yield(Block{}, err)
			return
		}
		if s.end > 0 && s.next >= s.end {
			return
		}
		if s.end == 0 && !s.live && s.next >= s.feed.Len() {
			return
		}
		more, err := s.localRun(yield)
		if errors.Is(err, ErrNotLocal) {
			more, err = s.remote(yield)
		}
		if err != nil {
			yield(Block{}, err)
			return
		}
		if !more {
			return
		}
	}
}

// localRun yields the adjacent blocks from next on that are here, read from the
// disk at once. ErrNotLocal: not even the first is.
func (s *blockStream) localRun(yield func(Block, error) bool) (more bool, err error) {
	limit := s.feed.NextMissing(s.next)
	if s.end > 0 {
		limit = min(limit, s.end)
	}
	var n, bytes uint64
	for n < readRunBlocks && bytes < readRunBytes && s.next+n < limit {
		size, err := s.feed.BlockSize(s.next + n)
		if err != nil {
			if n == 0 {
				return false, err
			}
			break
		}
		if n > 0 && bytes+size > 2*readRunBytes {
			break
		}
		bytes += size
		n++
	}
	if n == 0 {
		return false, ErrNotLocal
	}
	buf, sizes, err := s.feed.ReadBlocks(make([]byte, 0, bytes), s.next, n, s.sizes[:0])
	if err != nil {
		return false, err
	}
	s.sizes = sizes
	for _, size := range sizes {
		b := Block{Index: s.next, Data: buf[:size:size]}
		buf = buf[size:]
		s.next++
		if !yield(b, nil) {
			return false, nil
		}
	}
	return true, nil
}

// remote waits for the next block, and asks for those behind it.
func (s *blockStream) remote(yield func(Block, error) bool) (more bool, err error) {
	if s.next+readAhead/2 >= s.aheadEnd {
		end := s.next + readAhead
		if s.end > 0 {
			end = min(end, s.end)
		}
		if end > s.aheadEnd {
			old := s.ahead
			s.ahead, s.aheadEnd = s.feed.Download(Range{Start: s.next, End: end, Linear: true}), end
			if old != nil {
				old.Cancel()
			}
		}
	}
	data, err := s.feed.Get(s.ctx, s.next)
	if err != nil {
		return false, err
	}
	b := Block{Index: s.next, Data: data}
	s.next++
	return yield(b, nil), nil
}
