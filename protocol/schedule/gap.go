package schedule

// NextHad is the first block at from or after it that the peer announced;
// false without one.
func (p *Peer) NextHad(from uint64) (uint64, bool) { return p.remote.NextSet(from) }

// NextLacked is the first block at from or after it that the peer did not announce.
func (p *Peer) NextLacked(from uint64) uint64 { return p.remote.NextClear(from) }
