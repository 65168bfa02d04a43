package guard

import (
	"errors"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// every is how often the record of an announced length follows the feed's.
const every = 250 * time.Millisecond

// Keeper keeps the records of the feeds that this process writes, while they are open. It
// writes nothing about a feed that refuses to append: then the record is what the feed is
// behind of. It has one goroutine, from the first feed on. Its methods may be called from
// any goroutine.
type Keeper struct {
	r    Records // constant
	done chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	identity string // once it is known
	feeds    map[feed.DiscoveryKey]*kept
}

// kept is a feed of a Keeper's. Keeper.mu guards it.
type kept struct {
	f      *feed.Feed
	dk     feed.DiscoveryKey
	last   uint64 // as it is recorded
	length uint64 // of the feed when it was looked at; what is recorded may be less
	behind bool   // appending was refused, as far as is known
	gone   bool   // it was seen closed: it may have been about to write the last
}

// NewKeeper returns a Keeper of the records r, to be closed.
func NewKeeper(r Records) *Keeper {
	return &Keeper{r: r, done: make(chan struct{}), feeds: map[feed.DiscoveryKey]*kept{}}
}

// Options is Records.Options. Who writes here is read once, and the record of a feed that
// is closed is brought up to date before it is read.
func (k *Keeper) Options(s store.Storage, o feed.Options) (_ feed.Options, mine bool, err error) {
	key, mine := writes(s, o)
	if !mine {
		return o, false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.identity == "" {
		k.identity, err = k.r.Identity()
	}
	if x := k.feeds[key.Discovery()]; x != nil {
		k.look(x)
	}
	o, err = k.r.complete(o, key, k.identity, err)
	return o, true, err
}

// Keep keeps the record of one more feed, if it is one's own, from before it returns until
// the feed is closed.
func (k *Keeper) Keep(f *feed.Feed) {
	if !f.Writable() || f.Static() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	dk := f.DiscoveryKey()
	if x := k.feeds[dk]; x != nil {
		if k.look(x); x.f.Readable() {
			return // a second copy; the first one goes on
		}
	}
	last, err := k.r.Announced(dk)
	if err != nil {
		last = 0 // it is replaced by what the feed has announced
	}
	x := &kept{f: f, dk: dk, last: last}
	k.feeds[dk] = x
	k.look(x)
	k.once.Do(func() { k.wg.Go(k.run) })
}

func (k *Keeper) run() {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-k.done:
			return
		case <-tick.C:
			k.lookAll()
		}
	}
}

// Update brings the record of a feed up to date. It is for those that are about to be
// closed: whether a closed one was taken over cannot be seen any more.
func (k *Keeper) Update(f *feed.Feed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if x := k.feeds[f.DiscoveryKey()]; x != nil && x.f == f {
		k.look(x)
	}
}

func (k *Keeper) lookAll() {
	k.mu.Lock()
	var due []*kept
	for _, x := range k.feeds {
		if x.due() {
			due = append(due, x)
		}
	}
	k.mu.Unlock()
	for _, x := range due { // a disk may be slow: who opens a feed waits for one of them
		k.mu.Lock()
		if k.feeds[x.dk] == x {
			k.look(x)
		}
		k.mu.Unlock()
	}
}

// due tells whether something may be new. Most feeds are idle, and this is cheap.
func (x *kept) due() bool {
	n := x.f.Len()
	return n != x.length || n > x.last || x.behind || !x.f.Readable()
}

// look looks at a feed, and forgets it if it is closed and was before. mu held.
func (k *Keeper) look(x *kept) {
	if !x.due() {
		return
	}
	s := x.f.Stats()
	x.length = s.Length
	shown := s.Durable // what was recovered at Open counts as announced before it is
	closed := errors.Is(s.Err, feed.ErrClosed)
	if closed && x.gone {
		delete(k.feeds, x.dk)
	}
	x.gone = closed
	refused := errors.Is(s.Err, feed.ErrBehind) || errors.Is(s.Err, feed.ErrOtherWriter)
	switch {
	case refused:
		x.behind = true
		return
	case s.Err != nil && !closed, closed && x.behind:
		return
	case shown > x.last, shown < x.last && x.behind: // it was taken over
		if k.r.SetAnnounced(x.dk, shown) != nil {
			return // the next time, then
		}
		x.last = shown
	}
	x.behind = false
}

// Close brings all records up to date, and ends. It is called when nothing is announced any
// more and before the feeds are closed: what they write then is recorded when they are kept
// again, before it is announced. It may be called twice.
func (k *Keeper) Close() {
	k.lookAll()
	k.mu.Lock()
	first := !k.closed
	k.closed = true
	k.mu.Unlock()
	if first {
		close(k.done)
	}
	k.wg.Wait()
}
