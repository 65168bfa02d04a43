package feed

import "context"

// Appends that wait for the disk wait for it together. Each of them could be hashed
// and take its place in the tree on its own, but then many callers spend more time
// on each other's locks than on that. So a small one only queues up (appendJoint),
// and when the committer sets out it has all of them grow the feed at once (join),
// like one batch: the lanes hash several blocks at a time, and there is one place
// for all to be taken. None has returned before, so nobody can tell the difference.
//
//	Append ──► Feed.joints ──► join: hash, grow ──► commit ──► Append returns
//	             mu              wmu, mu

// The largest append that queues up: jointBytes and jointBlocks.
const (
	jointBytes  = 8 << 10
	jointBlocks = 16
)

// joint is an append that is queued up: joint.done is told when it is durable, or
// was refused.
type joint struct {
	syncWait
	blocks [][]byte
	total  uint64

	// Guarded by mu.
	first uint64
	err   error // why it was refused
}

// appendJoint is Append for a few blocks that are durable when it returns.
func (f *Feed) appendJoint(ctx context.Context, blocks [][]byte, total uint64) (first uint64, err error) {
	j, _ := f.spare.Get().(*joint)
	if j == nil {
		j = &joint{syncWait: syncWait{done: make(chan error, 1)}}
	}
	j.blocks, j.total, j.err = blocks, total, nil
	f.mu.Lock()
	if f.failed != nil { // first what could not be written before
		f.mu.Unlock()
		err = f.tryAgain(false)
		f.mu.Lock()
	}
	if err == nil {
		err = f.appendable(len(blocks), total)
	}
	if err == nil {
		err = f.failed
	}
	if err == nil {
		f.joints = append(f.joints, j)
		f.gathered()
		f.kick()
	}
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	select {
	case err = <-j.done:
		first, j.blocks = j.first, nil // nobody else has it any more
		f.spare.Put(j)
		return first, err
	case <-ctx.Done():
	}
	// It may be on its way to the disk. Where it begins is known when it has joined.
	f.join()
	f.mu.Lock()
	defer f.mu.Unlock()
	if j.err != nil {
		return 0, j.err
	}
	return j.first, ctx.Err()
}

// join has all appends that queue up grow the feed.
func (f *Feed) join() {
	f.wmu.Lock()
	defer f.unlockWrites()
	f.joinNow()
}

// tryJoin is join for the committer, who may not wait for wmu: Clear has it while it
// waits for a commit. If it is taken, the queue stays as it is until it is given back.
func (f *Feed) tryJoin() {
	if !f.wmu.TryLock() {
		f.stalled.Store(true)
		if !f.wmu.TryLock() {
			return // unlockWrites comes after this, and sees it
		}
	}
	defer f.unlockWrites()
	f.joinNow()
}

// unlockWrites gives wmu back.
func (f *Feed) unlockWrites() {
	f.wmu.Unlock()
	if f.stalled.Swap(false) {
		f.mu.Lock()
		f.kick()
		f.mu.Unlock()
	}
}

// joinNow is join with wmu held.
func (f *Feed) joinNow() {
	f.mu.Lock()
	list := f.joints
	f.joints = nil
	f.mu.Unlock()
	if len(list) == 0 {
		return
	}
	var total uint64
	blocks := f.joined[:0]
	for _, j := range list {
		blocks = append(blocks, j.blocks...)
		total += j.total
	}
	nodes := leaves(len(blocks))
	hashBlocks(*nodes, blocks, total)

	f.mu.Lock()
	err := f.failed // those who queue up later are refused by it, too
	if err == nil {
		err = f.appendable(len(blocks), total)
	}
	var first, changes uint64
	if err == nil {
		first, changes, err = f.grow(*nodes, blocks, total, true)
	}
	for _, j := range list {
		if err != nil {
			j.refuse(err)
			continue
		}
		j.first, j.changes = first, changes
		first += uint64(len(j.blocks))
		f.syncs = append(f.syncs, &j.syncWait)
	}
	f.hurry = max(f.hurry, changes)
	f.mu.Unlock()
	leafPool.Put(nodes)
	clear(blocks)
	f.joined = blocks
	f.dispatch()
}

// refuse ends an append that has changed nothing. mu held.
func (j *joint) refuse(err error) {
	j.err = err
	j.done <- err // has room
}

// refuseJoints refuses all that queue up. mu held.
func (f *Feed) refuseJoints(err error) {
	for _, j := range f.joints {
		j.refuse(err)
	}
	f.joints = nil
}

// waiting is how many wait for a commit. mu held.
func (f *Feed) waiting() int { return len(f.syncs) + len(f.joints) }
