//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// lanWithin is how long two nodes of a LAN may take to find each other.
const lanWithin = 5 * time.Second

const lanNet = "192.168.77."

// lan puts hosts on a segment of their own. With a router there is a way out
// by which nothing comes back, as when the provider fails.
func (w *world) lan(hosts int, router bool) (*segment, []*space) {
	g := w.segment()
	var out []*space
	for i := range hosts {
		s := w.space(fmt.Sprintf("l%d", i))
		g.plug(s, "eth0", line{})
		s.ip(fmt.Sprintf("addr add %s%d/24 dev eth0", lanNet, 10+i))
		if router {
			s.ip("route add default via " + lanNet + "1")
		}
		out = append(out, s)
	}
	if router {
		s := w.space("router")
		g.plug(s, "l0", line{})
		s.ip("addr add " + lanNet + "1/24 dev l0")
	}
	return g, out
}

// outside returns who sent what to addresses that are neither in the LAN nor
// for all of it.
func (c counts) outside() (out []pair) {
	inside := netip.MustParsePrefix(lanNet + "0/24")
	for p := range c.bytes {
		if !inside.Contains(p.to) && !p.to.IsMulticast() && !p.to.IsLinkLocalUnicast() {
			out = append(out, p)
		}
	}
	return out
}

// TestLAN: five nodes without internet and without any configuration seed a
// feed each, and each clones those of all others.
func TestLAN(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, hosts := w.lan(5, false)
	seeds := make([]*seeding, len(hosts))
	for i, s := range hosts {
		seeds[i] = s.seed(fmt.Sprintf("n%d", i), mib/2)
	}
	rows := newTable("lan", "nodes", "clones", "to the first block, the slowest", "looked up on the DHT of the LAN", "packets to addresses outside")
	var mu sync.Mutex
	var slowest time.Duration
	var wg sync.WaitGroup
	for i, s := range hosts {
		wg.Go(func() {
			for j, sd := range seeds {
				if i == j {
					continue
				}
				c := s.clone(fmt.Sprintf("c%d-%d", i, j), sd)
				c.finish()
				first, _ := c.first(func(s sample) bool { return s.blocks > 0 })
				mu.Lock()
				slowest = max(slowest, first.at)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if slowest > lanWithin+slack {
		t.Errorf("the slowest clone had its first block after %v, the limit is %v", slowest, lanWithin)
	}
	var topics []string
	for _, sd := range seeds {
		topics = append(topics, sd.discoveryKey())
	}
	find := w.spaceOn(g, "find", 99).role("find", topics...)
	find.end()
	if got := find.stdout.lines(); len(got) != len(topics) {
		t.Errorf("looked up %d topics, found:\n%s", len(topics), find.stdout)
	}
	out := g.seen().outside()
	if len(out) > 0 {
		t.Errorf("packets to the outside: %v", out)
	}
	rows.add(0, fmt.Sprint(len(hosts)), fmt.Sprint(len(hosts)*(len(hosts)-1)), seconds(slowest), fmt.Sprintf("%d of %d topics", len(find.stdout.lines()), len(topics)), fmt.Sprint(len(out)))
	rows.write(t)
}

// TestLANRouter: in a LAN whose router leads nowhere, nodes with --network none
// try nothing outside. That the lab would see it is shown by a packet that is
// sent there.
func TestLANRouter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, hosts := w.lan(2, true)
	sd := hosts[0].seed("seed", mib/2, "--network", "none")
	c := hosts[1].clone("clone", sd, "--network", "none")
	c.end()
	<-c.done
	c.intact(sd)
	if first, ok := c.first(func(s sample) bool { return s.blocks > 0 }); !ok || first.at > lanWithin+slack {
		t.Errorf("first block after %v, the limit is %v", first.at, lanWithin)
	}
	if out := g.seen().outside(); len(out) > 0 {
		t.Errorf("packets to the outside: %v", out)
	}
	err := inSpace(hosts[0].full, func() error { return sendUDP("45.0.0.9:9") })
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); len(g.seen().outside()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a packet to the outside was not seen: the test would not see others either")
		}
	}
}

// spaceOn is a further host of a LAN.
func (w *world) spaceOn(g *segment, name string, at int) *space {
	s := w.space(name)
	g.plug(s, "eth0", line{})
	s.ip(fmt.Sprintf("addr add %s%d/24 dev eth0", lanNet, at))
	return s
}

// finish waits for the end of a clone from any goroutine.
func (c *cloning) finish() {
	t := c.s.w.t
	select {
	case <-c.done:
	case <-time.After(patience):
		t.Errorf("%s did not end in %s", c.name, patience)
		return
	}
	if c.err != nil {
		t.Errorf("%s: %v\n%s", c.name, c.err, c.stderr)
	}
	if !strings.Contains(c.stderr.String(), "complete: ") {
		t.Errorf("%s is not complete:\n%s", c.name, c.stderr)
	}
}
