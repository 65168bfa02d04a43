package control

import (
	"context"
	"fmt"
	"io"

	"github.com/go-hypercore/hypercore/feed"
)

// Local is a Feed that is open in this process.
type Local struct {
	of    OpenFeed
	close func() error // nil: somebody else closes the feed
}

var _ Feed = (*Local)(nil)

// NewLocal uses an open feed. Close calls close, if it is not nil.
func NewLocal(of OpenFeed, close func() error) *Local { return &Local{of: of, close: close} }

// newLocal uses a feed for the time of one request.
func newLocal(of OpenFeed) *Local { return &Local{of: of} }

// Close ends the use of the feed.
func (l *Local) Close() error {
	if l.close == nil {
		return nil
	}
	return l.close()
}

// Info describes the feed.
func (l *Local) Info(ctx context.Context) (FeedInfo, error) {
	f := l.of.Feed
	s := f.Stats()
	held, err := f.DownloadedBytes(ctx, 0, s.Length)
	if err != nil {
		return FeedInfo{}, err
	}
	own := f.SecretKey() != nil
	i := FeedInfo{
		Key:             f.Key().String(),
		DiscoveryKey:    f.DiscoveryKey().String(),
		Length:          s.Length,
		ByteLength:      s.ByteLength,
		Downloaded:      s.Blocks,
		DownloadedBytes: held,
		Duplicates:      s.Duplicates,
		Writable:        f.Writable() || own,
		Static:          f.Static(),
		Directory:       l.of.Dir,
		Networked:       l.of.Networked,
	}
	if s.Blocks > 0 && s.Blocks < s.Length {
		i.Runs = runs(f, s.Length)
	}
	if l.of.Peers != nil {
		i.Peers = len(l.of.Peers())
	}
	switch {
	case s.Err != nil:
		i.ReadOnlyCause = s.Err.Error()
		switch w, _ := toWire(s.Err); {
		case w.Corrupt != nil:
			i.ReadOnlyCode = codeCorrupt
		case len(w.Codes) > 0:
			i.ReadOnlyCode = w.Codes[0]
		}
	case own && !f.Writable() && !f.Static():
		i.ReadOnlyCause, i.ReadOnlyCode = "its directory cannot be written", codeUnwritable
	}
	return i, nil
}

// runs are the first runs of blocks below length that are here.
func runs(f *feed.Feed, length uint64) (out []feed.Span) {
	for at := f.NextLocal(0); at < length && len(out) < MaxRuns; {
		end := min(f.NextMissing(at), length)
		if end <= at { // given up meanwhile
			break
		}
		out = append(out, feed.Span{Start: at, End: end})
		at = f.NextLocal(end)
	}
	return out
}

// Peers lists the peers of the feed; none when it is not on a network.
func (l *Local) Peers(context.Context) ([]PeerInfo, error) {
	if l.of.Peers == nil {
		return nil, nil
	}
	return l.of.Peers(), nil
}

// Get returns a block. See Feed.
func (l *Local) Get(ctx context.Context, index uint64) ([]byte, error) {
	f := l.of.Feed
	if !l.of.Networked || f.Writable() {
		if n := f.Len(); index >= n {
			return nil, beyond(index, n)
		}
	}
	if !l.of.Networked {
		return f.Local(index)
	}
	return f.Get(ctx, index)
}

// Cat reads blocks in order. See Feed.
func (l *Local) Cat(ctx context.Context, o CatOptions, fn func(index uint64, data []byte) error) error {
	f := l.of.Feed
	length := f.Len()
	switch {
	case o.Live && o.End != 0:
		return fmt.Errorf("%w: live with an end", ErrBadRequest)
	case o.End != 0 && o.End < o.Start:
		return fmt.Errorf("%w: blocks %d to %d", ErrBadRequest, o.Start, o.End)
	case max(o.Start, o.End) > length && (!l.of.Networked || f.Writable()) && !o.Live: // nobody will bring more
		return beyond(max(o.Start, o.End-min(o.End, 1)), length)
	}
	start, end := o.Start, o.End
	if end == 0 {
		end = length
	}
	if o.Tail != 0 {
		start = max(o.Start, end-min(end, o.Tail))
	}
	missing := end
	if !l.of.Networked { // nobody will bring what is not here
		if missing = min(end, f.NextMissing(start)); missing < end {
			o.Live = false
		}
	}
	ro := feed.ReadOptions{Start: start, End: missing, Live: o.Live}
	if o.Live {
		ro.End = 0
	} else if start >= missing {
		ro.End = start
	}
	if o.Live || start < missing {
		for b, err := range f.Blocks(ctx, ro) {
			if err != nil {
				return err
			}
			if err := fn(b.Index, b.Data); err != nil {
				return err
			}
		}
	}
	if missing < end {
		return fmt.Errorf("block %d: %w", missing, feed.ErrNotLocal)
	}
	return nil
}

// Append cuts r into blocks and appends them. When it returns without an
// error the blocks are durable. A Read of r that does not return is left
// behind when ctx ends.
func (l *Local) Append(ctx context.Context, r io.Reader, cut Cut) (Appended, error) {
	f := l.of.Feed
	var a Appended
	cut, err := cut.check()
	if err != nil {
		return a, err
	}
	if !f.Writable() {
		return a, fmt.Errorf("append: %w", feed.ErrNotWritable)
	}
	a.First = f.Len()
	err = cutAll(ctx, r, cut, func(blocks [][]byte) error {
		first, err := f.Append(ctx, blocks...)
		if err != nil {
			return err
		}
		if a.Blocks == 0 {
			a.First = first
		}
		a.Blocks += uint64(len(blocks))
		for _, b := range blocks {
			a.Bytes += uint64(len(b))
		}
		return nil
	})
	if a.Blocks > 0 {
		serr := f.Sync(ctx)
		if serr != nil && ctx.Err() == nil {
			serr = f.Sync(ctx) // a write that failed is tried again; a failed sync stays one
		}
		if err == nil {
			err = serr
		}
	}
	a.Length = f.Len()
	if err != nil {
		a.onlyDurable(f)
	}
	return a, err
}

// onlyDurable does not count what was appended but is not known to have reached the
// disk.
func (a *Appended) onlyDurable(f *feed.Feed) {
	a.Length = f.Stats().Durable
	if end := max(a.Length, a.First); end < a.First+a.Blocks {
		a.Uncertain = a.First + a.Blocks - end
		a.Blocks = end - a.First
		a.Bytes = 0
		for i := a.First; i < end; i++ {
			n, err := f.BlockSize(i)
			if err != nil {
				break // closed meanwhile: the blocks are counted
			}
			a.Bytes += n
		}
	}
}

// beyond is the error for a block that the feed does not have.
func beyond(index, length uint64) error {
	s := "s"
	if length == 1 {
		s = ""
	}
	return fmt.Errorf("there is no block %d: the feed has %d block%s: %w", index, length, s, feed.ErrOutOfBounds)
}
