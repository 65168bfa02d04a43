package feed

import "context"

// Event is what Watch tells: one of Appended, Downloaded, Extended, Uploaded,
// Synced, Completed, Cleared, Lost, PeerEvent, Forked, Failed, Resumed, Missed, Reloaded
// and Closed.
type Event interface{ event() }

// Appended: blocks Start to End-1 were appended here.
type Appended struct{ Start, End, Bytes uint64 }

// Downloaded: blocks Start to End-1 came from elsewhere and were verified.
type Downloaded struct{ Start, End, Bytes uint64 }

// Extended: a greater length was proven by a peer.
type Extended struct{ From, Length uint64 }

// Uploaded: blocks Start to End-1 were sent to a peer.
type Uploaded struct{ Start, End, Bytes uint64 }

// Synced: this length is on the disk, and what is here of it, which of a reader's may be
// little: that all of it is here is told by Completed.
type Synced struct{ Length uint64 }

// Completed: with a block that came from elsewhere all blocks of the feed, as long as it
// is known to be, are here: verified, and perhaps not on the disk yet. It comes again
// after each time that some were missing, because the feed has grown, or they were
// cleared or lost. (sync of npm hypercore)
type Completed struct{ Length uint64 }

// Cleared: blocks Start to End-1 were given up here.
type Cleared struct{ Start, End uint64 }

// Lost: block Index was here, and its bytes are not what was signed any more. It is
// missing now.
type Lost struct{ Index uint64 }

// PeerEvent: a peer came, went, or announced a length.
type PeerEvent struct {
	Peer   string // as the engine names it
	Joined bool   // it is connected and knows the key
	Left   bool
	Length uint64 // the length it has announced
	Err    error  // why it left, nil for a clean end
}

// Forked: the writer signed two histories; the feed is frozen.
type Forked struct{ Evidence ForkEvidence }

// Failed: something could not be written, or the files are not what they should be.
type Failed struct {
	Err error
	// Final: the feed stays read only until it is opened again. Else what has failed is
	// tried again, with what is asked for next, and Resumed tells when it works.
	Final bool
}

// Resumed: the cause of a Failed that was not Final is over.
type Resumed struct{}

// Missed: the watcher was slow, and this many events before this one were
// dropped. The state of the feed tells what they were.
type Missed struct{ Events uint64 }

// Reloaded: another program had written the directory while the feed was parked.
// What is here was loaded anew; the length was From.
type Reloaded struct{ From, Length uint64 }

// Closed: the feed is closed. It is the last event.
type Closed struct{ Err error }

func (Appended) event()   {}
func (Downloaded) event() {}
func (Extended) event()   {}
func (Uploaded) event()   {}
func (Synced) event()     {}
func (Completed) event()  {}
func (Cleared) event()    {}
func (Lost) event()       {}
func (PeerEvent) event()  {}
func (Forked) event()     {}
func (Failed) event()     {}
func (Resumed) event()    {}
func (Missed) event()     {}
func (Reloaded) event()   {}
func (Closed) event()     {}

// watchBuffer is the number of events a watcher may be behind.
const watchBuffer = 256

type watcher struct {
	ch     chan Event
	missed uint64
	stop   func() bool // forgets the context
}

// Watch returns what happens from now on, until ctx ends or the feed is closed;
// then the channel is closed. A watcher that is more than 256 events behind
// misses some and is told so (Missed); it never holds up the feed.
func (f *Feed) Watch(ctx context.Context) <-chan Event {
	w := &watcher{ch: make(chan Event, watchBuffer)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing || ctx.Err() != nil {
		if f.closing {
			w.ch <- Closed{}
		}
		close(w.ch)
		return w.ch
	}
	f.watchers = append(f.watchers, w)
	w.stop = context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, o := range f.watchers {
			if o == w {
				f.watchers = append(f.watchers[:i:i], f.watchers[i+1:]...)
				close(w.ch)
				return
			}
		}
	})
	return w.ch
}

// emit tells the watchers. mu held.
func (f *Feed) emit(e Event) {
	for _, w := range f.watchers {
		w.send(e)
	}
}

// send never blocks: only emit sends, and mu is held, so room that is seen stays.
func (w *watcher) send(e Event) {
	if w.missed > 0 {
		if cap(w.ch)-len(w.ch) < 2 {
			w.missed++
			return
		}
		w.ch <- Missed{w.missed}
		w.missed = 0
	}
	select {
	case w.ch <- e:
	default:
		w.missed++
	}
}

// end sends the last event, for which older ones make room. mu held.
func (w *watcher) end(err error) {
	w.stop()
	for cap(w.ch)-len(w.ch) < 2 {
		select {
		case e := <-w.ch:
			if m, ok := e.(Missed); ok {
				w.missed += m.Events
			} else {
				w.missed++
			}
		default:
		}
	}
	if w.missed > 0 {
		w.ch <- Missed{w.missed}
	}
	w.ch <- Closed{err}
	close(w.ch)
}

// ReportUpload is called by the engine for each block that it has sent.
func (f *Feed) ReportUpload(index, bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.upBlocks++
	f.stats.upBytes += bytes
	if len(f.watchers) > 0 {
		f.emit(Uploaded{index, index + 1, bytes})
	}
}

// ReportPeer is called by the engine when a peer comes, goes, or announces a
// length.
func (f *Feed) ReportPeer(e PeerEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.emit(e)
	f.progressed()
	f.reconsider()
}
