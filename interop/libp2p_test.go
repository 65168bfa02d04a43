package interop

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

const insideLibp2p = "Inside libp2p"

// labNetwork is the name of the private DHT of these tests.
const labNetwork = "interop-lab"

// nodeHere starts a node on loopback.
func nodeHere(t *testing.T, cfg node.Config) *node.Node {
	t.Helper()
	cfg.Listen, cfg.Network, cfg.MDNS = node.Loopback(), labNetwork, node.Off
	n, err := node.New(ctx(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func infoOf(n *node.Node) []peer.AddrInfo {
	return []peer.AddrInfo{{ID: n.ID(), Addrs: n.Host().Addrs()}}
}

// tcpAddr returns the address that js-libp2p can dial: plain TCP.
func tcpAddr(t *testing.T, n *node.Node) string {
	t.Helper()
	for _, a := range n.Addrs() {
		s := a.String()
		if len(a.Protocols()) == 3 && a.Protocols()[1].Name == "tcp" { // ip4, tcp, p2p
			return s
		}
	}
	t.Fatalf("no TCP address in %v", n.Addrs())
	return ""
}

// npmNode is a js-libp2p node in the driver.
type npmNode struct {
	d     *driver
	Node  int
	ID    string
	Addrs []string
}

func (d *driver) node(t *testing.T, network string) *npmNode {
	t.Helper()
	n := &npmNode{d: d}
	args := obj{}
	if network != "" {
		args["network"] = network
	}
	d.call(t, "p2pStart", args, n)
	t.Cleanup(func() { d.try("p2pStop", obj{"node": n.Node}, nil) })
	return n
}

// info is the node as our side names it.
func (n *npmNode) info(t *testing.T) []peer.AddrInfo {
	t.Helper()
	infos, err := node.ParsePeers(n.Addrs...)
	if err != nil {
		t.Fatal(err)
	}
	return infos
}

// replicate opens /hypercore/6.12.0 on the address and pipes the feeds into it.
func (n *npmNode) replicate(t *testing.T, addr string, feeds ...*npmFeed) {
	t.Helper()
	ids := []int{}
	for _, f := range feeds {
		ids = append(ids, f.Feed)
	}
	n.d.call(t, "p2pReplicate", obj{"node": n.Node, "addr": addr, "feeds": ids, "opts": obj{"live": true}}, nil)
}

func (n *npmNode) serve(t *testing.T, feeds ...*npmFeed) {
	t.Helper()
	ids := []int{}
	for _, f := range feeds {
		ids = append(ids, f.Feed)
	}
	n.d.call(t, "p2pServe", obj{"node": n.Node, "feeds": ids, "opts": obj{"live": true}}, nil)
}

func openNode(t *testing.T, n *node.Node, o feed.Options) *feed.Feed {
	t.Helper()
	f, err := n.Open(ctx(t), store.Dir(t.TempDir()), o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func share(t *testing.T, n *node.Node, f *feed.Feed, o node.JoinOptions) *node.Join {
	t.Helper()
	j, err := n.Share(ctx(t), f, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestLibp2p replicates with a js-libp2p program: TCP, Noise, yamux, and npm
// hypercore's replicate() piped into a stream.
func TestLibp2p(t *testing.T) {
	d := js(t)

	cases(t, insideLibp2p, "js-libp2p dials: npm downloads, then live appends", wireVersions, func(t *testing.T, v string) {
		n := nodeHere(t, node.Config{})
		f := openNode(t, n, feed.Options{})
		generateGo(t, f, small, 300, 50)
		c := d.open(t, v, t.TempDir(), npmOpts{Key: f.Key().String()})
		d.node(t, "").replicate(t, tcpAddr(t, n), c)
		c.until(t, 300, 300)
		generateGo(t, f, small, 50, 3)
		c.until(t, 350, 350)
		c.audit(t)
		c.verify(t)
		sameDigest(t, "here and npm", digestGo(t, f), c.digest(t))
	})

	cases(t, insideLibp2p, "js-libp2p dials: this downloads, then live appends", wireVersions, func(t *testing.T, v string) {
		n := nodeHere(t, node.Config{})
		s := d.open(t, v, t.TempDir(), npmOpts{})
		s.generate(t, small, 300, 50)
		f := openNode(t, n, feed.Options{Key: mustKey(t, s.Key)})
		d.node(t, "").replicate(t, tcpAddr(t, n), s)
		untilGo(t, f, 300, 300)
		s.generate(t, small, 50, 3)
		untilGo(t, f, 350, 350)
		auditGo(t, f)
		sameDigest(t, "here and npm", digestGo(t, f), s.digest(t))
	})

	cases(t, insideLibp2p, "this dials a js-libp2p node and downloads", wireVersions, func(t *testing.T, v string) {
		s := d.open(t, v, t.TempDir(), npmOpts{})
		s.generate(t, content{seed: 12, min: 100, max: 60000}, 200, 50)
		other := d.node(t, "")
		other.serve(t, s)
		n := nodeHere(t, node.Config{Peers: other.info(t)})
		f := openNode(t, n, feed.Options{Key: mustKey(t, s.Key)})
		share(t, n, f, node.JoinOptions{Lookup: true})
		untilGo(t, f, 200, 200)
		auditGo(t, f)
		sameDigest(t, "here and npm", digestGo(t, f), s.digest(t))
	})

	cases(t, insideLibp2p, "this dials a js-libp2p node, which downloads", wireVersions, func(t *testing.T, v string) {
		other := d.node(t, "")
		n := nodeHere(t, node.Config{Peers: other.info(t)})
		f := openNode(t, n, feed.Options{})
		generateGo(t, f, content{seed: 12, min: 100, max: 60000}, 200, 50)
		c := d.open(t, v, t.TempDir(), npmOpts{Key: f.Key().String()})
		other.serve(t, c)
		share(t, n, f, node.JoinOptions{Lookup: true})
		c.until(t, 200, 200)
		c.audit(t)
		c.verify(t)
		sameDigest(t, "here and npm", digestGo(t, f), c.digest(t))
	})

	cases(t, insideLibp2p, "js-libp2p finds this through the DHT by discovery key", wireVersions, func(t *testing.T, v string) {
		boot := nodeHere(t, node.Config{Server: true})
		n := nodeHere(t, node.Config{Bootstrap: infoOf(boot)})
		f := openNode(t, n, feed.Options{})
		generateGo(t, f, small, 100, 50)
		share(t, n, f, node.JoinOptions{Announce: true})

		other := d.node(t, labNetwork)
		d.call(t, "p2pConnect", obj{"node": other.Node, "addr": tcpAddr(t, boot)}, nil)
		var r struct {
			Providers []struct {
				ID    string
				Addrs []string
			}
		}
		d.call(t, "p2pFind", obj{"node": other.Node, "discoveryKey": f.DiscoveryKey().String()}, &r)
		if len(r.Providers) == 0 || r.Providers[0].ID != n.ID().String() {
			t.Fatalf("found %+v, want %s", r.Providers, n.ID())
		}
		c := d.open(t, v, t.TempDir(), npmOpts{Key: f.Key().String()})
		other.replicate(t, tcpAddr(t, n), c)
		c.until(t, 100, 100)
		c.audit(t)
	})

	cases(t, insideLibp2p, "this finds a js-libp2p node through the DHT by discovery key", wireVersions, func(t *testing.T, v string) {
		boot := nodeHere(t, node.Config{Server: true})
		s := d.open(t, v, t.TempDir(), npmOpts{})
		s.generate(t, small, 100, 50)
		other := d.node(t, labNetwork)
		other.serve(t, s)
		d.call(t, "p2pConnect", obj{"node": other.Node, "addr": tcpAddr(t, boot)}, nil)
		d.call(t, "p2pProvide", obj{"node": other.Node, "discoveryKey": s.DiscoveryKey}, nil)

		n := nodeHere(t, node.Config{Bootstrap: infoOf(boot)})
		f := openNode(t, n, feed.Options{Key: mustKey(t, s.Key)})
		j := share(t, n, f, node.JoinOptions{Lookup: true})
		deadline := time.Now().Add(patience)
		for f.Downloaded(0, 0) < 100 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if f.Downloaded(0, 0) < 100 {
			t.Fatalf("%d blocks: %+v", f.Downloaded(0, 0), j.Status())
		}
		auditGo(t, f)
		sameDigest(t, "here and npm", digestGo(t, f), s.digest(t))
	})

	cases(t, insideLibp2p, "a feed signed by 9.12.0, between two nodes of ours", []string{"9"}, func(t *testing.T, v string) {
		dir := t.TempDir()
		s := d.open(t, v, dir, npmOpts{})
		s.generate(t, small, 100, 50)
		sum := s.digest(t)
		s.close(t)
		a := nodeHere(t, node.Config{})
		b := nodeHere(t, node.Config{Peers: infoOf(a)})
		f, err := a.Open(ctx(t), store.Dir(dir), feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		copied := t.TempDir()
		g, err := b.Open(ctx(t), store.Dir(copied), feed.Options{Key: f.Key()})
		if err != nil {
			t.Fatal(err)
		}
		share(t, a, f, node.JoinOptions{})
		share(t, b, g, node.JoinOptions{Lookup: true})
		untilGo(t, g, 100, 100)
		auditGo(t, g)
		closeGo(t, g)
		n := d.open(t, v, copied, npmOpts{})
		n.audit(t)
		n.verify(t)
		sameDigest(t, "npm reads the clone", n.digest(t), sum)
	})
}
