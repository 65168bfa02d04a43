package feed

// The second half of Apply: verified values are written, then they count.

// reserve finds the place of verified values that are not here yet. mu held.
func (f *Feed) reserve(p *Proof) error {
	one := [1]uint64{uint64(len(p.Value))}
	sizes := p.Sizes
	if sizes == nil {
		sizes = one[:]
	}
	data := &f.image.Data
	end := p.Index + uint64(len(sizes))
	value := p.Value
	each := f.opts.OnWrite != nil // which is shown one at a time
	for i := p.Index; i < end; {
		skip := data.Get(i)
		n, size := uint64(0), uint64(0)
		for ; i+n < end && data.Get(i+n) == skip && !(n > 0 && each); n++ {
			size += sizes[i+n-p.Index]
		}
		if skip {
			f.stats.duplicates += n
		} else {
			off, err := f.offset(i)
			if err != nil {
				return err
			}
			f.apply.placed = append(f.apply.placed, placed{i, n, off, value[:size:size]})
			f.memo = memo{i + n, off + size, true}
		}
		i, value = i+n, value[size:]
	}
	return nil
}

// joinBytes is the size up to which neighbouring values are written together.
const joinBytes = 256 << 10

// writePlaced writes the values, neighbours together. Nothing says that they are
// here until place.
func (f *Feed) writePlaced() error {
	a := &f.apply
	if len(a.placed) == 0 {
		return nil
	}
	if err := f.settle(); err != nil {
		return err
	}
	if f.keepPlaced() {
		return nil
	}
	buf, at := a.join[:0], uint64(0)
	flush := func() error {
		if len(buf) == 0 {
			return nil
		}
		err := f.writeAt(dataName, f.files.data, buf, int64(at))
		buf = buf[:0]
		return err
	}
	var err error
	for i := range a.placed {
		v := &a.placed[i]
		if len(buf) > 0 && (at+uint64(len(buf)) != v.off || len(buf)+len(v.value) > joinBytes || len(v.value) >= directBlock) {
			if err = flush(); err != nil {
				break
			}
		}
		if len(v.value) >= directBlock {
			if err = f.writeAt(dataName, f.files.data, v.value, int64(v.off)); err != nil {
				break
			}
			continue
		}
		if len(buf) == 0 {
			at = v.off
		}
		buf = append(buf, v.value...)
	}
	if err == nil {
		err = flush()
	}
	if cap(buf) <= joinBytes+directBlock {
		a.join = buf[:0]
	}
	if err != nil {
		return f.fail(err, true)
	}
	return nil
}

// keepPlaced keeps a few small values in memory, as what is appended is, until the
// next commit writes them: who follows a feed live gets its block without waiting
// for a write. False if they are more than that, or not where the pending data ends.
func (f *Feed) keepPlaced() bool {
	list := f.apply.placed
	total := 0
	for i := range list {
		if total += len(list[i].value); total >= directBlock || i > 0 && list[i].off < list[i-1].off {
			return false
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pend.end() > list[0].off {
		return false
	}
	for i := range list {
		f.pend.add(list[i].off, list[i].value)
	}
	return true
}

// place makes the written values count. mu held.
func (f *Feed) place() {
	a := &f.apply
	if len(a.placed) == 0 {
		return
	}
	f.touched.data = true
	total := 0
	for i := 0; i < len(a.placed); {
		start, end, bytes := a.placed[i].index, a.placed[i].index, 0
		for ; i < len(a.placed) && a.placed[i].index == end; i++ {
			end += a.placed[i].n
			bytes += len(a.placed[i].value)
		}
		f.image.SetData(start, end, true)
		f.stats.downBlocks += end - start
		f.stats.downBytes += uint64(bytes)
		total += bytes
		if len(f.watchers) > 0 {
			f.emit(Downloaded{Start: start, End: end, Bytes: uint64(bytes)})
		}
		f.hidden.add(start, end)
		f.woke(start, end)
	}
	f.newBits, f.newBlocks = true, true
	f.downloaded(total)
	f.progressed()
	if n := f.acc.Len(); len(f.watchers) > 0 && f.image.Data.RunEnd(0, n) == n {
		f.emit(Completed{Length: n}) // a block was missing till now
	}
	clear(a.placed) // the values are the caller's again
}
