package feed

import "slices"

// Close makes everything durable, ends what the feed started, lets everyone who
// waits go with ErrClosed and unlocks the directory. It returns the error of the
// last commit. It may be called twice; calls of anything else fail with ErrClosed.
func (f *Feed) Close() error {
	f.mu.Lock()
	if f.closed != nil {
		f.mu.Unlock()
		<-f.closed
		return f.closeErr
	}
	f.closed = make(chan struct{})
	f.closing = true
	close(f.done)
	for _, d := range slices.Clone(f.downloads) {
		d.end(ErrClosed)
	}
	f.wants, f.lengths, f.seeks, f.windows = wants{}, nil, nil, nil
	f.refuseJoints(ErrClosed)
	if f.looping {
		f.kick()
	}
	if f.expected > 0 { // nobody else comes
		f.expected = 0
		f.enough <- struct{}{} // has room, see gathered
	}
	f.mu.Unlock()

	f.loops.Wait()
	f.wmu.Lock() // whoever changes the feed has ended
	f.retire()
	err := f.lastCommit()
	f.commitMu.Lock()
	if cerr := f.letGo(); err == nil {
		err = cerr
	}
	f.commitMu.Unlock()

	f.mu.Lock()
	f.closeErr = err
	f.release(ErrClosed)
	for _, w := range f.watchers {
		w.end(err)
	}
	f.watchers = nil
	f.note(note{kind: noteClosed, err: err})
	f.mu.Unlock()
	f.unlockWrites() // a Replicator may call what wants it, to be told ErrClosed
	f.dispatch()
	f.mu.Lock()
	if f.draining { // the Replicator is told by who calls it already
		drained := make(chan struct{})
		f.drained = drained
		f.mu.Unlock()
		<-drained
		f.mu.Lock()
	}
	f.repl = nil
	close(f.closed)
	f.mu.Unlock()
	return err
}

// lastCommit commits what is left, if anything is.
func (f *Feed) lastCommit() error {
	if f.opts.ReadOnly {
		return nil
	}
	f.commitMu.Lock()
	bits := f.bitsOpen || f.journal.bits != f.journal.length || f.journal.open
	f.commitMu.Unlock()
	f.mu.Lock()
	due := f.changes != f.committed || bits
	f.mu.Unlock()
	if !due {
		return nil
	}
	return f.commit(true)
}

// letGo closes the files and gives the memory back. wmu and commitMu are held, or Open has failed.
func (f *Feed) letGo() error {
	err := f.files.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.tree.ring {
		f.tree.drop(c)
	}
	f.tree.ring, f.tree.dirty, f.tree.count = nil, nil, 0
	f.groups = groups{}
	return err
}
