package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

const (
	// runBytes and runBlocks bound one read of neighbouring blocks: large enough
	// that the cost of the read is spread over many blocks, small enough that a
	// consumer who stops early has wasted little.
	runBytes  = 256 << 10
	runBlocks = 1024

	// A reader of blocks that are not here asks for aheadBytes ahead, as far as the
	// size of blocks is known, at least minAhead and at most maxAhead blocks.
	aheadBytes = 16 << 20
	minAhead   = 16
	maxAhead   = 4096
)

// Block is one block of a feed.
type Block struct {
	Index uint64
	Data  []byte // the receiver's own, but for its capacity
}

// ReadOptions of [Feed.Blocks]. The zero value reads all blocks from the first
// to the last, and those that come while it reads.
type ReadOptions struct {
	// Start is the first block.
	Start uint64
	// End is the block before which to stop; blocks up to there that do not exist
	// yet are waited for; of a static feed they cannot come, which is ErrOutOfBounds.
	// 0: stop at the end of the feed (see Snapshot and Live).
	End uint64
	// Tail starts at the end of the feed, as it is known here, instead of at Start.
	Tail bool
	// Snapshot takes the end of the feed once, when the iteration begins.
	Snapshot bool
	// Live does not stop at the end of the feed but waits for more. Only End, the
	// context or an error ends it: of a static feed there is no more (ErrOutOfBounds),
	// nor does more come to one that is frozen (ErrFork), see [Feed.Get].
	Live bool
	// Reverse reads backwards, from End (0: the end of the feed as it is when the
	// iteration begins) down to Start. Tail and Live mean nothing then.
	Reverse bool
}

// Blocks returns the blocks in order. Blocks that are not here are waited for
// and asked of peers, some of them ahead of time; those that are here are read
// from the disk many at a time, so that what is kept of one block may keep the
// memory of its neighbours, 256 KiB. The iteration ends after the last block, or
// with one error: the context's, ErrClosed, ErrOutOfBounds for an End before
// Start or for what is beyond the end of a static feed, that of Get for a block that is
// not here when the feed takes nothing more, or of reading. Each use of the result begins
// anew.
//
// The end is that of the feed as it is known here. To a reader that has reached nobody
// yet the feed is empty, and one that was away has its old end: Update(ctx, 1) waits for
// the first block to exist, Head for what peers say there is.
func (f *Feed) Blocks(ctx context.Context, o ReadOptions) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		if err := f.usableNow(); err != nil {
			yield(Block{}, err)
			return
		}
		if o.End > 0 && o.End < o.Start {
			yield(Block{}, fmt.Errorf("%w: read from %d to %d", ErrOutOfBounds, o.Start, o.End))
			return
		}
		if o.Reverse {
			f.backwards(ctx, o, yield)
			return
		}
		s := newStream(ctx, f, o)
		defer s.close()
		for {
			b, err := s.next()
			if err == io.EOF {
				return
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// stream reads blocks in order.
type stream struct {
	f         *Feed
	ctx       context.Context
	at, end   uint64 // the next block, and the one not to be read; end 0: the feed's
	empty     bool   // a snapshot of an empty feed
	live      bool
	keep      bool   // what next returned is not used after the following call
	buf, rest []byte // read from the disk, and what of it is not returned yet
	sizes     []uint64
	left      []uint64 // of rest
	window    *window  // what is asked of peers; nil: nothing
	asked     uint64   // where it was last moved to
}

func newStream(ctx context.Context, f *Feed, o ReadOptions) *stream {
	s := &stream{f: f, ctx: ctx, at: o.Start, end: o.End, live: o.Live}
	if o.Tail {
		s.at = f.Len()
	}
	if o.Snapshot && !o.Live && o.End == 0 {
		s.end = f.Len()
		s.empty = s.end == 0
	}
	return s
}

func (s *stream) close() {
	if s.window != nil {
		s.f.closeWindow(s.window)
		s.window = nil
	}
}

// next returns the next block, io.EOF after the last.
func (s *stream) next() (Block, error) {
	if len(s.left) == 0 {
		if err := s.fill(); err != nil {
			return Block{}, err
		}
	}
	n := s.left[0]
	b := Block{s.at, s.rest[:n:n]}
	s.rest, s.left = s.rest[n:], s.left[1:]
	s.at++
	return b, nil
}

// fill reads the next blocks.
func (s *stream) fill() error {
	for {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if s.empty || s.end > 0 && s.at >= s.end || s.end == 0 && !s.live && s.at >= s.f.Len() {
			return io.EOF
		}
		end := s.at + runBlocks
		if s.end > 0 {
			end = min(end, s.end)
		}
		var dst []byte
		if s.keep {
			dst = s.buf[:0]
		}
		buf, sizes, err := s.f.readRun(dst, s.at, end, runBytes, s.sizes[:0])
		if err == nil {
			s.buf, s.rest, s.sizes, s.left = buf, buf, sizes, sizes
			s.moveOn()
			return nil
		}
		if !isNotLocal(err) {
			return err
		}
		s.ask()
		if err := s.f.waitBlock(s.ctx, s.at); err != nil {
			return err
		}
	}
}

// ask opens the window at the next block, or moves it there.
func (s *stream) ask() {
	end := s.at + s.ahead()
	if s.end > 0 {
		end = min(end, s.end)
	}
	switch {
	case s.window == nil:
		s.window = s.f.openWindow(s.at, end)
	case end > s.asked:
		s.f.moveWindow(s.window, s.at, end)
	}
	s.asked = end
}

// moveOn moves the window, if there is one, before the reader comes to its end.
func (s *stream) moveOn() {
	if s.window != nil && s.at+s.ahead()/2 > s.asked && (s.end == 0 || s.asked < s.end) {
		s.ask()
	}
}

// ahead returns how many blocks are asked for.
func (s *stream) ahead() uint64 {
	f := s.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.acc.Len() == 0 {
		return minAhead
	}
	mean := max(1, f.acc.ByteLen()/f.acc.Len())
	return min(max(aheadBytes/mean, minAhead), maxAhead)
}

// backwards is Blocks in reverse.
func (f *Feed) backwards(ctx context.Context, o ReadOptions, yield func(Block, error) bool) {
	end := o.End
	if end == 0 {
		end = f.Len()
	}
	const step = 64
	for end > o.Start {
		from := end - min(step, end-o.Start)
		blocks, err := f.GetRange(ctx, from, end)
		if err != nil {
			yield(Block{}, err)
			return
		}
		for i := len(blocks) - 1; i >= 0; i-- {
			if !yield(Block{from + uint64(i), blocks[i]}, nil) {
				return
			}
		}
		end = from
	}
}

// errShort is what a reader says when a block is not as long as the tree said.
var errShort = errors.New("feed: a byte is not in the block where it was found")
