//go:build linux

package lab

import (
	"fmt"
	"testing"
	"time"
)

// outage is something that happens to the network while a feed is fetched.
type outage struct {
	name        string
	seed, clone nat
	// happen lets it happen and returns when the network is as good as before.
	happen func(n *internet, a, b *home)
}

// goesOnWithin is how long after the network's return replication may take to
// go on.
const goesOnWithin = 10 * time.Second

// slowLine makes a transfer last long enough for things to happen.
var slowLine = line{delay: delay, rate: 20e6}

const (
	outageSize   = 16 * mib
	outageAt     = outageSize / blockSize / 4 // blocks that are here when it happens
	restartTakes = 3 * time.Second
)

var outages = []outage{
	{name: "the seed's router restarts", happen: func(_ *internet, a, _ *home) { a.restart() }},
	{name: "the clone's router restarts, TCP only", clone: nat{blocks: "udp"}, happen: func(_ *internet, _, b *home) { b.restart() }},
	{name: "the seed moves to another network", happen: func(n *internet, a, _ *home) { n.move(a.host) }},
	{name: "the clone moves to another network", happen: func(n *internet, _, b *home) { n.move(b.host) }},
	{name: "the clone moves to another network, TCP only", seed: nat{blocks: "udp"}, happen: func(n *internet, _, b *home) { n.move(b.host) }},
	{name: "the seed's home is unplugged for 30 s", happen: func(_ *internet, a, _ *home) { a.without(30 * time.Second) }},
	{name: "the clone's home is unplugged for 30 s, TCP only", clone: nat{blocks: "udp"}, happen: func(_ *internet, _, b *home) { b.without(30 * time.Second) }},
}

// without unplugs a home for some time.
func (h *home) without(d time.Duration) {
	h.port.unplug()
	time.Sleep(d)
	h.port.replug()
}

// restart is what happens when somebody pulls the plug of a router: it is away
// for a moment and has forgotten all connections.
func (h *home) restart() {
	h.port.unplug()
	time.Sleep(restartTakes)
	h.forget()
	h.port.replug()
}

// move takes a host to home c, as a phone that leaves the house does.
func (n *internet) move(host *space) {
	c := n.router("c", slowLine, nat{})
	host.ip("link set eth0 down")
	c.attach(host, "eth1")
}

// TestOutage lets the network fail in the middle of a transfer.
func TestOutage(t *testing.T) {
	rows := newTable("outages", "what happens", "goes on after", "blocks received", "of", "path before", "and after")
	t.Cleanup(func() { rows.write(t) })
	for i, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			rows.add(i, o.run(t)...)
		})
	}
}

func (o outage) run(t *testing.T) []string {
	w := newWorld(t)
	n := newInternet(w, false)
	a, b := n.home("a", slowLine, o.seed), n.home("b", slowLine, o.clone)
	sd := a.host.seed("seed", outageSize, n.net()...)
	sd.waitAnnounced()
	cl := b.host.clone("clone", sd, n.net()...)
	before := cl.waitBlocks(outageAt)
	if before.blocks == sd.blocks {
		t.Fatal("the transfer was over before anything could happen")
	}
	o.happen(n, a, b)
	back, had := time.Since(cl.began), cl.last().blocks
	cl.end()
	<-cl.done
	cl.intact(sd)

	on, ok := cl.resumed(back)
	if !ok {
		t.Fatal("the transfer was over before the network was back")
	}
	last := cl.last()
	after := max(on.at-back, 0)
	t.Logf("at block %d of %d; had %d when the network was back; went on %v later; %d blocks came twice", before.blocks, sd.blocks, had, after, last.twice)
	if after > goesOnWithin+slack {
		t.Errorf("goes on %v after the network is back, the limit is %v", after, goesOnWithin)
	}
	if last.twice > 0 {
		t.Errorf("%d blocks were fetched twice", last.twice)
	}
	return []string{o.name, seconds(after), fmt.Sprint(last.blocks + last.twice), fmt.Sprint(sd.blocks), before.path(), on.path()}
}

// resumed returns the sample that ended the longest time without a block, of
// those that ended after a time: what is still under way when a network goes
// may come later.
func (c *cloning) resumed(after time.Duration) (end sample, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var longest time.Duration
	var prev sample
	for _, s := range c.samples {
		if s.blocks == prev.blocks {
			continue
		}
		if gap := s.at - prev.at; s.at > after && gap > longest {
			longest, end, ok = gap, s, true
		}
		prev = s
	}
	return end, ok
}

// path is how a clone is connected.
func (s sample) path() string {
	switch {
	case s.peers == 0:
		return "none"
	case s.relayed:
		return "relayed"
	}
	return "direct, " + transport(s.addr)
}

// TestMovesOffRelay begins a transfer on the relay, since packets between the
// two homes do not pass. When they do, it goes on directly.
func TestMovesOffRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := newInternet(w, false, "--relay-unlimited")
	a, b := n.home("a", slowLine, nat{}), n.home("b", slowLine, nat{})
	a.wall(b)
	// Long enough for the punch that is tried later, if the first ones are over
	// before the wall is down.
	sd := a.host.seed("seed", 3*outageSize, n.net()...)
	sd.waitAnnounced()
	cl := b.host.clone("clone", sd, n.net()...)
	if s := cl.waitBlocks(1); !s.relayed {
		t.Fatalf("connected over %s through a wall", s.addr)
	}
	a.unwall()
	cl.end()
	<-cl.done
	cl.intact(sd)
	direct, ok := cl.first(func(s sample) bool { return s.peers > 0 && !s.relayed })
	if !ok || direct.blocks == sd.blocks {
		t.Fatalf("the transfer ended on the relay")
	}
	t.Logf("%d blocks of %d came through the relay in %v; %d came twice", direct.blocks, sd.blocks, direct.at, cl.last().twice)
	if twice := cl.last().twice; twice > 0 {
		t.Errorf("%d blocks were fetched twice", twice)
	}
}
