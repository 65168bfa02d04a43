//go:build linux

package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// side is where a node of a case sits.
type side struct {
	public bool // on the internet, without a router
	nat
}

// natCase is two nodes that find each other.
type natCase struct {
	name        string
	seed, clone side
	boot        []string // flags of the bootstrap node
	ipv6        bool
	size        int           // of the feed, in bytes
	relayed     bool          // there is no other way
	either      bool          // a direct connection is a matter of luck
	within      time.Duration // from the start of the clone until the stream is direct
}

// directWithin is how long two nodes may take to a direct connection where
// one is possible.
const directWithin = 5 * time.Second

// slack is added to limits of time for machines that do other work, too.
const slack = 3 * time.Second

const mib = 1 << 20

var natCases = []natCase{
	{name: "both behind a router", size: 16 * mib, within: directWithin},
	{name: "TCP only", seed: side{nat: nat{blocks: "udp"}}, clone: side{nat: nat{blocks: "udp"}}, size: 16 * mib, within: directWithin},
	{name: "QUIC only", seed: side{nat: nat{blocks: "tcp"}}, clone: side{nat: nat{blocks: "tcp"}}, size: 16 * mib, within: directWithin},
	{name: "the seed is public", seed: side{public: true}, size: 16 * mib, within: directWithin},
	{name: "the clone is public", clone: side{public: true}, size: 16 * mib, within: directWithin},
	{name: "the seed's router maps ports (UPnP), the clone's is symmetric", seed: side{nat: nat{upnp: true}}, clone: side{nat: nat{symmetric: true}}, size: 16 * mib, within: 2 * directWithin},
	{name: "one symmetric", seed: side{nat: nat{symmetric: true}}, boot: []string{"--relay-unlimited"}, size: 4 * mib, relayed: true},
	{name: "both symmetric, the relay has no limits", seed: side{nat: nat{symmetric: true}}, clone: side{nat: nat{symmetric: true}}, boot: []string{"--relay-unlimited"}, size: 8 * mib, relayed: true},
	{name: "both symmetric, the relay carries 16 MiB", seed: side{nat: nat{symmetric: true}}, clone: side{nat: nat{symmetric: true}}, boot: []string{"--relay-data", "16MiB", "--relay-time", "10m"}, size: 8 * mib, relayed: true},
	// Such a router spoils a punch unless both packets cross on the way, within
	// 20 ms here.
	{name: "both routers answer for closed ports", seed: side{nat: nat{answers: true}}, clone: side{nat: nat{answers: true}}, boot: []string{"--relay-unlimited"}, size: 8 * mib, either: true},
	{name: "IPv6 only", ipv6: true, size: 16 * mib, within: directWithin},
}

// TestNAT lets two nodes find each other that know the name of a network and
// the address of its bootstrap node, and nothing else.
func TestNAT(t *testing.T) {
	rows := newTable("nat", "network", "first block after", "direct after", "path", "throughput", "what the user saw")
	t.Cleanup(func() { rows.write(t) })
	for i, c := range natCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows.add(i, c.run(t)...)
		})
	}
}

// run runs the case and returns its row.
func (c natCase) run(t *testing.T) []string {
	w := newWorld(t)
	n := newInternet(w, c.ipv6, c.boot...)
	a := n.side("a", c.seed)
	b := n.side("b", c.clone)
	sd := a.host.seed("seed", c.size, n.net()...)
	announced := sd.waitAnnounced()
	cl := b.host.clone("clone", sd, n.net()...)
	cl.end()
	<-cl.done
	cl.intact(sd)

	first, ok := cl.first(func(s sample) bool { return s.blocks > 0 })
	if !ok {
		t.Fatal("the clone was over before it was looked at")
	}
	last := cl.last()
	row := []string{c.name, seconds(first.at), "never", "relayed", rate(sd.bytes, last.at-first.at), cl.saw()}
	seen := n.seg.seen()
	straight, bent := seen.between(a.wan, b.wan), seen.between(n.bootIP, b.wan)
	t.Logf("announced after %v, first block %v, end %v; %d bytes direct, %d from the relay", announced, first.at, last.at, straight, bent)
	if c.relayed {
		if !strings.Contains(cl.saw(), "reached through a relay") {
			t.Errorf("the user was not told of the relay: %s", cl.saw())
		}
		if bent < sd.bytes {
			t.Errorf("%d bytes came through the relay, the feed has %d", bent, sd.bytes)
		}
		return row
	}
	direct, ok := cl.first(func(s sample) bool { return s.peers > 0 && !s.relayed })
	if c.either && (!ok || direct.blocks > 0) {
		return row
	}
	if !ok {
		t.Fatalf("no direct connection")
	}
	row[2], row[3] = seconds(direct.at), "direct, "+transport(direct.addr)
	if limit := c.within + slack; !c.either && direct.at > limit {
		t.Errorf("direct after %v, the limit is %v", direct.at, limit)
	}
	if straight < sd.bytes*9/10 {
		t.Errorf("%d bytes went directly, the feed has %d", straight, sd.bytes)
	}
	return row
}

// saw is what a clone told its user, without what it tells always.
func (c *cloning) saw() string { return told(c.stderr.lines()) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func rate(bytes uint64, d time.Duration) string {
	return fmt.Sprintf("%.1f MB/s", float64(bytes)/1e6/d.Seconds())
}
