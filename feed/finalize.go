package feed

import (
	"context"
	"fmt"
)

// Finalize ends a static feed: its key is its tree hash, and from now on it can
// be shared but not appended to. The data is on the disk before the key is, so a
// crash leaves a feed that is not finalized, or one that is complete.
func (f *Feed) Finalize(ctx context.Context) error {
	f.mu.Lock()
	draft, err := f.draft, f.usable()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if !draft {
		return fmt.Errorf("%w: only a static feed that is not finalized yet can be", ErrStatic)
	}
	f.wmu.Lock()
	defer f.unlockWrites()
	if err := f.syncHolding(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	err = f.changeable()
	key := Key(f.treeHash())
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.writeKey(key); err != nil {
		return err
	}
	f.mu.Lock()
	f.key, f.draft, f.static = key, false, true
	f.eager = true
	f.changed()
	f.announce(0, f.acc.Len())
	f.lengthened()
	f.mu.Unlock()
	f.dispatch()
	return f.syncHolding(ctx)
}

func (f *Feed) writeKey(key Key) error {
	if err := f.writeSmall(keyName, key[:]); err != nil {
		return err
	}
	return f.syncDirectory()
}

// finishFinalize does the rest of a Finalize that came no further than the key:
// whoever wrote it may have been killed before it was durable, and it is about to
// be shown.
func (f *Feed) finishFinalize(s *found) error {
	if f.draft || !s.journal.unfinished {
		return nil
	}
	f.changes++
	f.eager = true
	if err := f.keepSmall(keyName, f.key[:]); err != nil {
		return err
	}
	return f.syncDirectory()
}
