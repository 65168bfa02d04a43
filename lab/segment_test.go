//go:build linux

package lab

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// line says how a space is connected to a segment.
type line struct {
	delay time.Duration // each way
	rate  float64       // bits per second each way; 0: as fast as this machine
}

// Frames wait for a line that is busy for up to maxQueue; more are dropped, as
// a router does. portQueue bounds the frames under way to one port.
const (
	maxQueue  = 60 * time.Millisecond
	portQueue = 1 << 14
	frameSize = 1514 + 4
)

// segment is an Ethernet switch in this process.
type segment struct {
	w *world
	counter

	// mu guards the fields below and the clocks of the ports.
	mu    sync.Mutex
	ports []*port
	where map[[6]byte]*port
}

// port is where a space is plugged in.
type port struct {
	seg       *segment
	line      line
	dev       *os.File
	queue     chan frame
	unplugged atomic.Bool

	upFree, downFree time.Time // when the line can take the next frame; segment.mu guards them
}

type frame struct {
	data []byte
	due  time.Time
}

func (w *world) segment() *segment {
	return &segment{w: w, where: map[[6]byte]*port{}, counter: newCounter()}
}

// plug connects a new interface dev of s, which is up afterwards.
func (g *segment) plug(s *space, dev string, l line) *port {
	g.w.t.Helper()
	p := &port{seg: g, line: l, queue: make(chan frame, portQueue)}
	err := inSpace(s.full, func() (err error) {
		p.dev, err = openTap(dev)
		return err
	})
	if err != nil {
		g.w.t.Fatal(err)
	}
	g.mu.Lock()
	g.ports = append(g.ports, p)
	g.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(p.read)
	queue := p.queue
	wg.Go(func() { p.write(queue) })
	g.w.t.Cleanup(func() {
		p.dev.Close()
		g.mu.Lock()
		p.unplugged.Store(true)
		close(p.queue)
		p.queue = nil
		g.mu.Unlock()
		wg.Wait()
	})
	s.ip("link set " + dev + " up")
	return p
}

// openTap makes an Ethernet interface whose frames are read from a file.
func openTap(dev string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(dev)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making interface %s: %w", dev, err)
	}
	return os.NewFile(uintptr(fd), dev), nil
}

// unplug pulls the cable without the space noticing, as when a provider fails.
func (p *port) unplug() { p.unplugged.Store(true) }

// replug puts it back.
func (p *port) replug() { p.unplugged.Store(false) }

func (p *port) read() {
	for {
		data := make([]byte, frameSize)
		n, err := p.dev.Read(data)
		if err != nil {
			return
		}
		if n >= 14 && !p.unplugged.Load() {
			p.seg.forward(p, data[:n], time.Now())
		}
	}
}

// forward puts a frame into the queues of the ports it is for.
func (g *segment) forward(from *port, data []byte, now time.Time) {
	var src, dst [6]byte
	copy(dst[:], data)
	copy(src[:], data[6:])
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(data)
	g.where[src] = from
	sent, ok := from.line.send(&from.upFree, now, len(data))
	if !ok {
		return
	}
	if to := g.where[dst]; to != nil {
		to.deliver(data, sent)
		return
	}
	for _, to := range g.ports {
		if to != from {
			to.deliver(data, sent)
		}
	}
}

// deliver queues a frame that reaches the middle of the segment at a time.
// segment.mu is held.
func (p *port) deliver(data []byte, at time.Time) {
	due, ok := p.line.send(&p.downFree, at, len(data))
	if !ok || p.queue == nil {
		return
	}
	select {
	case p.queue <- frame{data, due}:
	default:
	}
}

// send says when a frame given to a line at a time comes out at its end, or
// that it is dropped.
func (l line) send(free *time.Time, at time.Time, size int) (time.Time, bool) {
	if l.rate > 0 {
		start := at
		if free.After(start) {
			start = *free
		}
		if start.Sub(at) > maxQueue {
			return at, false
		}
		at = start.Add(time.Duration(float64(size*8) / l.rate * float64(time.Second)))
		*free = at
	}
	return at.Add(l.delay), true
}

func (p *port) write(queue <-chan frame) {
	for f := range queue {
		if wait := time.Until(f.due); wait > 0 {
			time.Sleep(wait)
		}
		if !p.unplugged.Load() {
			_, _ = p.dev.Write(f.data) // fails while the interface is down
		}
	}
}
