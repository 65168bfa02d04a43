package feed

import (
	"context"
	"fmt"
	"slices"
)

// Download is a range that is being fetched.
type Download struct {
	f    *Feed
	r    Range
	done chan struct{} // closed when it ends

	// Guarded by f.mu.
	ended bool
	err   error
}

// Progress is how far a Download is.
type Progress struct {
	Blocks uint64 // of the range that are here
	Total  uint64 // in the range, as far as the length is known
	Done   bool
}

// Download fetches a range, in the order the engine finds best unless r.Linear.
// It goes on until all blocks are here, Cancel, or Close; a range without end
// until Cancel or Close. Wait tells of a range that is out of bounds: of a static feed
// also of one that ends beyond its length, as soon as that is known. When the feed takes
// nothing more the download ends with the error that Get has.
func (f *Feed) Download(r Range) *Download {
	d := &Download{f: f, r: r, done: make(chan struct{})}
	f.mu.Lock()
	switch err := f.usable(); {
	case err != nil:
		d.end(err)
	case r.End != 0 && r.End < r.Start || r.End > MaxLength || r.Start > MaxLength:
		d.end(fmt.Errorf("%w: blocks %d to %d", ErrOutOfBounds, r.Start, r.End))
	case d.complete():
		d.end(nil)
	case d.hopeless() != nil:
		d.end(d.hopeless())
	case r.End == 0 && f.onlyRead():
		d.end(nil) // all that there is
	default:
		f.downloads = append(f.downloads, d)
		f.demandChanged()
	}
	f.mu.Unlock()
	f.dispatch()
	return d
}

// complete reports whether every block of a range that has an end is here. mu
// held.
func (d *Download) complete() bool {
	return d.r.End != 0 && d.f.image.Data.RunEnd(d.r.Start, d.r.End) >= d.r.End
}

// hopeless returns why the range will never be here, nil if it may. mu held.
func (d *Download) hopeless() error {
	f := d.f
	if d.r.End != 0 {
		return f.neverHere(d.r.End - 1)
	}
	if n := f.acc.Len(); f.onlyRead() && n > 0 && f.image.Data.RunEnd(d.r.Start, n) >= n {
		return nil
	}
	return f.stopped()
}

// end ends the download. mu held.
func (d *Download) end(err error) {
	if d.ended {
		return
	}
	d.ended, d.err = true, err
	close(d.done)
	d.f.downloads = slices.DeleteFunc(d.f.downloads, func(o *Download) bool { return o == d })
	d.f.demandChanged()
}

// arrival returns a channel that is closed when blocks have come, or a peer has
// announced something.
func (f *Feed) arrival() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.arrived == nil {
		f.arrived = make(chan struct{})
	}
	return f.arrived
}

// progressed tells those who wait for any block, and ends the downloads that are
// complete. mu held.
func (f *Feed) progressed() {
	if f.arrived != nil {
		close(f.arrived)
		f.arrived = nil
	}
	for i := len(f.downloads) - 1; i >= 0; i-- {
		if d := f.downloads[i]; d.complete() {
			d.end(nil)
		}
	}
}

// Wait returns nil when the download is complete: all blocks of the range are
// here; of a range without end, all up to the greatest length that is known here
// or was announced by a peer, if it is not 0 (the download goes on, for what comes
// later). It fails with ErrCanceled after Cancel, with ErrClosed, with why nothing comes
// any more, or with the context's error.
func (d *Download) Wait(ctx context.Context) error {
	select {
	case <-d.done:
		return d.result()
	default:
	}
	if d.r.End != 0 {
		select {
		case <-d.done:
			return d.result()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for at := d.r.Start; ; {
		news := d.f.arrival()
		target := max(d.f.Len(), d.f.knownLen())
		if at = d.f.NextMissing(at); target > 0 && at >= target {
			return nil
		}
		select {
		case <-news:
		case <-d.done:
			return d.result()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *Download) result() error {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	return d.err
}

// Progress returns how far it is.
func (d *Download) Progress() Progress {
	known := d.f.knownLen()
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	end := d.r.End
	if end == 0 {
		end = max(d.f.acc.Len(), known, d.r.Start)
	}
	return Progress{
		Blocks: d.f.image.Data.Count(d.r.Start, end), Total: end - min(end, d.r.Start),
		Done: d.ended && d.err == nil,
	}
}

// Cancel ends the download; what is here stays. It may be called twice.
func (d *Download) Cancel() {
	d.f.mu.Lock()
	d.end(ErrCanceled)
	d.f.mu.Unlock()
	d.f.dispatch()
}
