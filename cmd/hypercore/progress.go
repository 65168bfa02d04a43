package main

import (
	"fmt"
	"sync"
	"time"
)

// How often progress shows. Work that ends within a second shows nothing.
const (
	barDelay  = 500 * time.Millisecond // until a bar appears on a terminal
	barEvery  = 100 * time.Millisecond
	lineDelay = time.Second // until the first line when stderr is not a terminal
	lineEvery = 10 * time.Second
)

// progress shows on stderr how far something is: as a bar on a terminal, as
// sparse lines elsewhere, not at all with --quiet or while somebody types. look is called from its own
// goroutine and says where things stand.
type progress struct {
	a     *app
	label string
	look  func() (done, total uint64, note string)
	stop  chan struct{}
	ended sync.WaitGroup
	once  sync.Once
}

// bar is what is on the last line of the screen. All under app.mu.
type bar struct {
	a    *app
	text string
}

func (b *bar) erase() { fmt.Fprint(b.a.err, "\r\x1b[K") }
func (b *bar) draw()  { fmt.Fprint(b.a.err, b.text) }

// progress begins to show progress until end is called.
func (a *app) progress(label string, u unit, look func() (done, total uint64, note string)) *progress {
	p := &progress{a: a, label: label, look: look, stop: make(chan struct{})}
	if !a.quiet && !a.typed {
		p.ended.Go(func() { p.run(&meter{unit: u}) })
	}
	return p
}

func (p *progress) run(m *meter) {
	_, tty := p.a.terminal()
	delay, every := lineDelay, lineEvery
	if tty {
		delay, every = barDelay, barEvery
	}
	next, waited := time.Now().Add(delay), false
	tick := time.NewTicker(barEvery)
	defer tick.Stop()
	var b *bar
	defer func() {
		if b != nil {
			p.a.mu.Lock()
			b.erase()
			p.a.bar = nil
			p.a.mu.Unlock()
		}
	}()
	for {
		done, total, note := p.look()
		now := time.Now()
		m.update(now, done, total)
		if !now.Before(next) {
			next = now.Add(every)
			if !tty {
				if idle := done == 0 && total == 0; !idle || !waited { // whoever has nothing to show says so once
					p.a.say("%s: %s", p.label, m.line(note))
					waited = idle
				}
			} else if width, ok := p.a.terminal(); ok {
				p.a.mu.Lock()
				if b == nil {
					b = &bar{a: p.a}
					p.a.bar = b
				} else {
					b.erase()
				}
				b.text = m.render(width-1, p.label, note)
				b.draw()
				p.a.mu.Unlock()
			}
		}
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}

// end removes the bar. It may be called twice.
func (p *progress) end() {
	p.once.Do(func() { close(p.stop) })
	p.ended.Wait()
}
