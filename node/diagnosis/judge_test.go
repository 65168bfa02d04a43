package diagnosis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/node/diagnosis"
)

const (
	me   = "12D3KooWMeMeMeMeMeMeMeMeMeMeMeMeMeMeMeMeMeMeMeMeMeMe"
	them = "12D3KooWThemThemThemThemThemThemThemThemThemThemThem"
	key  = "58f51fed2b52e7a813cedf1337f3b856818720c9420424d0f4314cec13bde9aa"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// good are the facts of a reader at home with everything in order; each test
// breaks something.
func good() diagnosis.Facts {
	return diagnosis.Facts{
		At: now,
		Node: diagnosis.Node{
			ID: me, Seconds: 30, Listen: []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"},
			Reachability: "Private", NATTCP: "endpoint-independent", NATUDP: "endpoint-independent",
			PortMap: diagnosis.PortMap{Wanted: true}, Relays: []string{them},
		},
		Networks: []diagnosis.Network{{Name: "lab", Peers: 2, Addrs: 1, Bootstrap: []diagnosis.Bootstrap{
			{ID: them, Addrs: []string{"/ip4/203.0.113.5/tcp/4001"}, Connected: true, Serves: true, Networks: []string{"lab"}},
		}}},
		Feed: &diagnosis.Feed{
			Key: key, Name: "notes", Held: true, Here: true, Seeking: true, Length: 100, Blocks: 90, Missing: 10, Announce: true, Lookup: true, Looks: 5, Found: 1,
			Peers: []diagnosis.Peer{{
				ID: them, How: diagnosis.HowDHT, Found: []string{"/ip4/203.0.113.9/udp/4001/quic-v1"}, Connected: true, Addr: "/ip4/203.0.113.9/udp/4001/quic-v1",
				Punched: true, Protocol: "/hypercore/replicate/1.0.0", Seconds: 9, Offered: true, Asked: true, Accepted: true, Known: true, Blocks: 100, Length: 100,
			}},
		},
	}
}

// lost makes the peer one that is not reached.
func lost(f *diagnosis.Facts, trouble string, found ...string) {
	p := &f.Feed.Peers[0]
	*p = diagnosis.Peer{ID: p.ID, How: p.How, Found: found, Fails: 3, Trouble: trouble, Error: "the error"}
	f.Feed.Nowhere = 0
}

// giver makes the node one that serves its own feed.
func giver(f *diagnosis.Facts) {
	x := f.Feed
	x.Writable, x.Seeking, x.Lookup, x.Blocks, x.Missing, x.Peers = true, false, false, 100, 0, nil
	x.Announced = []diagnosis.Announcement{{Network: "lab", Nodes: 2, Until: now.Add(23*time.Hour + time.Minute)}}
}

// gone makes the network one that is not reached any more.
func gone(f *diagnosis.Facts) {
	n := &f.Networks[0]
	b := &n.Bootstrap[0]
	n.Peers, b.Connected, b.Serves, b.Networks, b.Trouble, b.Error = 0, false, false, nil, diagnosis.Refused, "refused"
}

func TestVerdict(t *testing.T) {
	const relay = "/ip4/203.0.113.5/tcp/4001/p2p/" + me + "/p2p-circuit"
	for _, c := range []struct {
		name     string
		spoil    func(f *diagnosis.Facts)
		state    diagnosis.State
		text, do string // do: a part of it; "": nothing is to be done
	}{
		{"in order", func(*diagnosis.Facts) {}, diagnosis.OK, "healthy: 1 peer serves it; 10 blocks still missing", ""},
		{"all is here", func(f *diagnosis.Facts) { f.Feed.Missing, f.Feed.Blocks = 0, 100 }, diagnosis.OK, "healthy: 1 peer serves it, and all that is wanted is here", ""},
		{"only looked at", func(f *diagnosis.Facts) { f.Feed.Held, f.Feed.Here = false, false }, diagnosis.OK, "healthy: 1 peer serves it", ""},
		{"a bootstrap node is gone, nobody cares", func(f *diagnosis.Facts) { f.Networks[0].Peers, f.Networks[0].Bootstrap = 0, nil }, diagnosis.OK, "healthy: 1 peer serves it; 10 blocks still missing", ""},

		{"nobody has block 17", func(f *diagnosis.Facts) {
			f.Feed.Nowhere, f.Feed.Ranges = 1, []diagnosis.Span{{Start: 17, End: 18}}
		}, diagnosis.Bad, "block 17 is missing, and the only peer that is connected does not have it", "run hypercore seed"},
		{"nobody has many", func(f *diagnosis.Facts) {
			f.Feed.Nowhere, f.Feed.Ranges = 9, []diagnosis.Span{{Start: 17, End: 18}, {Start: 40, End: 48}}
			f.Feed.Peers = append(f.Feed.Peers, f.Feed.Peers[0])
		}, diagnosis.Bad, "9 blocks, the first is block 17 are missing, and none of the 2 peers that are connected has them", "run hypercore seed"},
		{"a peer has not said what it has", func(f *diagnosis.Facts) { f.Feed.Peers[0].Known = false }, diagnosis.Wait, "1 peer connected, none has said yet what it has", "in a moment"},
		{"through a narrow relay", func(f *diagnosis.Facts) {
			p := &f.Feed.Peers[0]
			p.Relayed, p.Limited, p.Punched, p.PunchError = true, true, false, "no"
		}, diagnosis.Bad, "1 peer reached only through a relay that carries little: no hole punch got through", "--relay-unlimited"},
		{"through a narrow relay, with a symmetric NAT", func(f *diagnosis.Facts) {
			p := &f.Feed.Peers[0]
			p.Relayed, p.Limited = true, true
			f.Node.NATTCP, f.Node.NATUDP = "endpoint-dependent", "endpoint-dependent"
		}, diagnosis.Bad, "1 peer reached only through a relay that carries little: no hole punch got through", "this side's NAT takes another port for each peer"},
		{"a punch is under way", func(f *diagnosis.Facts) {
			p := &f.Feed.Peers[0]
			p.Relayed, p.Limited, p.Punching = true, true, true
		}, diagnosis.Wait, "1 peer reached through a relay that carries little; a hole punch is under way", "in a moment"},
		{"through a wide relay", func(f *diagnosis.Facts) { f.Feed.Peers[0].Relayed = true }, diagnosis.Note, "1 peer serves it, through a relay: slower than a direct way", "forward a port"},

		{"provider offline", func(f *diagnosis.Facts) { lost(f, diagnosis.Refused, "/ip4/203.0.113.9/tcp/4001") }, diagnosis.Bad, "1 provider found, unreachable: connection refused", "start hypercore seed there again"},
		{"two providers, no relay", func(f *diagnosis.Facts) {
			lost(f, diagnosis.Timeout, "/ip4/203.0.113.9/tcp/4001")
			f.Feed.Peers = append(f.Feed.Peers, f.Feed.Peers[0])
		}, diagnosis.Bad, "2 providers found, both unreachable: no answer, and no relay leads to it", "try --peer"},
		{"three, most refuse", func(f *diagnosis.Facts) {
			lost(f, diagnosis.Refused, "/ip4/203.0.113.9/tcp/4001")
			p := f.Feed.Peers[0]
			p.Trouble = diagnosis.Timeout
			f.Feed.Peers = append([]diagnosis.Peer{p}, f.Feed.Peers[0], f.Feed.Peers[0])
		}, diagnosis.Bad, "3 providers found, all unreachable: connection refused", "start hypercore seed there again"},
		{"a relay leads to it, in vain", func(f *diagnosis.Facts) { lost(f, diagnosis.Timeout, relay) }, diagnosis.Bad, "1 provider found, unreachable: no answer", "hypercore doctor there"},
		{"its relay forgot it", func(f *diagnosis.Facts) { lost(f, diagnosis.Reservation, relay) }, diagnosis.Bad, "1 provider found, unreachable: its relay does not know it any more", "another relay by itself"},
		{"loopback calls nobody", func(f *diagnosis.Facts) {
			lost(f, diagnosis.Forbidden, "/ip4/203.0.113.9/tcp/4001")
			f.Node.Loopback = true
		}, diagnosis.Bad, "1 provider found, unreachable: this node may not dial its addresses", "leave out --listen"},
		{"an error of no kind", func(f *diagnosis.Facts) { lost(f, diagnosis.Other, "/ip4/203.0.113.9/tcp/4001") }, diagnosis.Bad, "1 provider found, unreachable: the error", "by itself"},
		{"being dialled", func(f *diagnosis.Facts) { lost(f, "") }, diagnosis.Wait, "1 peer found, 1 attempt under way", "in a moment"},
		{"does not have the feed", func(f *diagnosis.Facts) { f.Feed.Peers[0].Accepted = false }, diagnosis.Bad, "1 peer connected, but none opens this feed: it is not there, or the key is another one", "compare the keys"},
		{"does not have the feed, and ends the connection", func(f *diagnosis.Facts) {
			lost(f, diagnosis.UnknownFeed)
			f.Feed.Peers[0].ID, f.Feed.Peers[0].How = "203.0.113.9:3282", diagnosis.HowTCP
		}, diagnosis.Bad, "1 peer connected, but none opens this feed: it is not there, or the key is another one", "compare the keys"},
		{"was just asked", func(f *diagnosis.Facts) { f.Feed.Peers[0].Accepted, f.Feed.Peers[0].Seconds = false, 0.5 }, diagnosis.Wait, "1 peer found, 1 attempt under way", "in a moment"},
		{"another program", func(f *diagnosis.Facts) {
			p := &f.Feed.Peers[0]
			p.Accepted, p.Protocol, p.Trouble = false, "", diagnosis.NoProtocol
		}, diagnosis.Bad, "1 provider found, unreachable: it does not replicate feeds", "another program"},

		{"nobody announces it", func(f *diagnosis.Facts) { f.Feed.Peers, f.Feed.Found = nil, 0 }, diagnosis.Bad, "nobody announces this feed on network lab (5 looks)", "the same --network"},
		{"nobody was looked for", func(f *diagnosis.Facts) { f.Feed.Peers, f.Feed.Looks = nil, 0 }, diagnosis.Wait, "nobody was looked for yet", "in a moment"},
		{"no address", func(f *diagnosis.Facts) { f.Feed.Peers, f.Feed.Bare = nil, 2 }, diagnosis.Bad, "2 providers found, whose address nobody knows", "--peer"},
		{"no bootstrap", func(f *diagnosis.Facts) {
			f.Feed.Peers = nil
			gone(f)
		}, diagnosis.Bad, "network lab is not reached: bootstrap node 203.0.113.5:4001 (tcp): connection refused", "is hypercore bootstrap --network lab running there"},
		{"wrong name", func(f *diagnosis.Facts) {
			f.Feed.Peers = nil
			f.Networks[0].Name, f.Networks[0].Peers, f.Networks[0].Bootstrap[0].Serves = "labb", 0, false
		}, diagnosis.Bad, "network labb is not reached: bootstrap node 203.0.113.5:4001 (tcp) serves network lab, not labb", "--network lab"},
		{"no network there", func(f *diagnosis.Facts) {
			f.Feed.Peers = nil
			f.Networks[0].Peers, f.Networks[0].Bootstrap[0].Serves, f.Networks[0].Bootstrap[0].Networks = 0, false, nil
		}, diagnosis.Bad, "network lab is not reached: bootstrap node 203.0.113.5:4001 (tcp) answers, but it serves no network", "hypercore bootstrap"},
		{"no bootstrap given", func(f *diagnosis.Facts) {
			f.Feed.Peers = nil
			f.Networks[0].Peers, f.Networks[0].Bootstrap = 0, nil
		}, diagnosis.Bad, "network lab has no bootstrap node: nothing leads into it", "--bootstrap ADDR"},
		{"amino on loopback", func(f *diagnosis.Facts) {
			f.Feed.Peers = nil
			f.Node.Loopback = true
			f.Networks = []diagnosis.Network{{Name: "amino"}}
		}, diagnosis.Bad, "a node that listens on loopback only does not use the public network", "--network NAME"},
		{"no network, no mDNS", func(f *diagnosis.Facts) { f.Feed.Peers, f.Networks = nil, nil }, diagnosis.Bad, "nobody is looked for: network none, and no mDNS", "--peer ADDR"},
		{"only a LAN", func(f *diagnosis.Facts) {
			f.Feed.Peers, f.Networks = nil, []diagnosis.Network{{Name: "lan"}}
			f.Node.MDNS = true
		}, diagnosis.Bad, "nobody is found in the local network, and there is no other one", "in this LAN"},

		{"served", giver, diagnosis.OK, "healthy: it is announced, and served to whoever asks; nobody is connected now", ""},
		{"served to one", func(f *diagnosis.Facts) { p := f.Feed.Peers; giver(f); f.Feed.Peers = p }, diagnosis.OK, "healthy: it is served to 1 peer now", ""},
		{"nobody gets in", func(f *diagnosis.Facts) { giver(f); f.Node.Relays = nil }, diagnosis.Bad, "readers find it, but cannot reach this node: it is behind a NAT, and no relay keeps a place for it", "forward a port"},
		{"some do not get in", func(f *diagnosis.Facts) { giver(f); f.Node.NATTCP, f.Node.NATUDP = "unknown", "endpoint-dependent" }, diagnosis.Note, "readers find it; those behind a NAT like this one, which takes another port for each peer, reach it only through a relay", "--relay-unlimited"},
		{"not announced", func(f *diagnosis.Facts) { giver(f); f.Feed.Announced[0].Nodes = 0 }, diagnosis.Wait, "it is being announced", ""},
		{"no address to announce", func(f *diagnosis.Facts) { giver(f); f.Feed.Announced[0].Nodes, f.Networks[0].Addrs = 0, 0 }, diagnosis.Bad, "readers cannot find it: it is announced not on lab: this node has no address yet that others could reach", "see relay and port map"},
		{"forgotten", func(f *diagnosis.Facts) { giver(f); f.Feed.Announced[0].Asked = 2 }, diagnosis.Bad, "readers cannot find it: no node of the network has the announcement any more", "sent again by itself"},
		{"forgotten, served", func(f *diagnosis.Facts) {
			p := f.Feed.Peers
			giver(f)
			f.Feed.Peers, f.Feed.Announced[0].Asked = p, 2
		}, diagnosis.Bad, "it is served to 1 peer now, but new readers cannot find it: no node of the network has the announcement any more", "sent again by itself"},
		{"the network is gone", func(f *diagnosis.Facts) { giver(f); gone(f) }, diagnosis.Bad, "readers cannot find it: it was announced, and now network lab is not reached: bootstrap node 203.0.113.5:4001 (tcp): connection refused", "is hypercore bootstrap --network lab running there"},
		{"the network is gone, served", func(f *diagnosis.Facts) {
			p := f.Feed.Peers
			giver(f)
			gone(f)
			f.Feed.Peers = p
		}, diagnosis.Bad, "it is served to 1 peer now, but new readers cannot find it: it was announced, and now network lab is not reached: bootstrap node 203.0.113.5:4001 (tcp): connection refused", "is hypercore bootstrap --network lab running there"},
		{"the network is gone, not the LAN", func(f *diagnosis.Facts) {
			giver(f)
			gone(f)
			f.Node.MDNS, f.Networks = true, append(f.Networks, diagnosis.Network{Name: diagnosis.LAN, Peers: 1, Addrs: 1})
		}, diagnosis.Note, "readers in the local network find it, others do not: network lab is not reached: bootstrap node 203.0.113.5:4001 (tcp): connection refused", "is hypercore bootstrap --network lab running there"},
		{"the network is being entered again", func(f *diagnosis.Facts) { giver(f); f.Networks[0].Peers = 0 }, diagnosis.Wait, "the bootstrap node is reached; no node of the network to ask yet", "in a moment"},
		{"no address to announce, served", func(f *diagnosis.Facts) {
			p := f.Feed.Peers
			giver(f)
			f.Feed.Peers, f.Feed.Announced[0].Nodes, f.Networks[0].Addrs = p, 0, 0
		}, diagnosis.Bad, "it is served to 1 peer now, but new readers cannot find it: it is announced not on lab: this node has no address yet that others could reach", "see relay and port map"},
		{"nobody to announce to", func(f *diagnosis.Facts) {
			giver(f)
			f.Feed.Announced[0].Nodes = 0
			f.Networks[0].Peers, f.Networks[0].Bootstrap = 0, nil
		}, diagnosis.Bad, "readers cannot find it: network lab has no bootstrap node: nothing leads into it", "--bootstrap ADDR"},
		{"in no network", func(f *diagnosis.Facts) { giver(f); f.Feed.Announced, f.Networks = nil, nil }, diagnosis.Note, "readers cannot find it: nobody is looked for: network none, and no mDNS", "give readers the address of this node"},
		{"in no network, served", func(f *diagnosis.Facts) {
			p := f.Feed.Peers
			giver(f)
			f.Feed.Peers, f.Feed.Announced, f.Networks = p, nil, nil
		}, diagnosis.OK, "healthy: it is served to 1 peer now", ""},
		{"nobody serves it", func(f *diagnosis.Facts) { giver(f); f.Feed.Held = false }, diagnosis.Bad, "this feed is yours and no node of this home serves it: readers find nobody", "hypercore seed notes"},
		{"another node serves it", func(f *diagnosis.Facts) {
			p := f.Feed.Peers
			giver(f)
			f.Feed.Held, f.Feed.Elsewhere, f.Feed.Seeking, f.Feed.Peers = false, true, true, p
		}, diagnosis.OK, "healthy: 1 peer serves it, and all that is wanted is here", ""},
		{"another node serves it, and is not found", func(f *diagnosis.Facts) {
			giver(f)
			f.Feed.Held, f.Feed.Elsewhere, f.Feed.Seeking = false, true, true
		}, diagnosis.Bad, "nobody announces this feed on network lab (5 looks)", "the same --network"},
		{"a copy of it is served", func(f *diagnosis.Facts) { p := f.Feed.Peers; giver(f); f.Feed.Held, f.Feed.Peers = false, p }, diagnosis.Note, "this feed is yours and no node of this home serves it; 1 peer has a copy that readers can get", "hypercore seed notes"},
		{"broken", func(f *diagnosis.Facts) { f.Feed.Error = "the disk is full" }, diagnosis.Bad, "the feed takes nothing: the disk is full", "hypercore verify notes"},

		{"restored from a backup", func(f *diagnosis.Facts) {
			giver(f)
			f.Feed.Error, f.Feed.Guarded = "behind", true
		}, diagnosis.Bad, "the feed cannot be appended to: behind", "hypercore recover notes"},
		{"being recovered", func(f *diagnosis.Facts) { f.Feed.Writable, f.Feed.Error, f.Feed.Guarded = true, "behind", true }, diagnosis.OK, "healthy: 1 peer serves it; 10 blocks still missing", ""},
		{"being recovered, nobody reached", func(f *diagnosis.Facts) {
			lost(f, diagnosis.Refused, "/ip4/203.0.113.9/tcp/4001")
			f.Feed.Writable, f.Feed.Error, f.Feed.Guarded = true, "behind", true
		}, diagnosis.Bad, "1 provider found, unreachable: connection refused", "start hypercore seed there again"},
		{"no feed", func(f *diagnosis.Facts) { f.Feed = nil }, diagnosis.OK, "healthy: behind a NAT, reached by hole punching or a relay", ""},
		{"no feed, public", func(f *diagnosis.Facts) { f.Feed, f.Node.Reachability = nil, "Public" }, diagnosis.OK, "healthy: others can connect to it", ""},
		{"no feed, not known", func(f *diagnosis.Facts) { f.Feed, f.Node.Reachability = nil, "Unknown" }, diagnosis.OK, "healthy as far as is known: nobody has tried yet whether it can be reached from outside", ""},
		{"no feed, loopback", func(f *diagnosis.Facts) { f.Feed, f.Node.Loopback = nil, true }, diagnosis.OK, "healthy, on this machine alone", ""},
		{"no feed, the first node of a network", func(f *diagnosis.Facts) {
			f.Feed, f.Networks[0].Peers, f.Networks[0].Bootstrap = nil, 0, nil
			f.Node.Server, f.Node.Reachability, f.Node.Assumed = true, "Public", true
		}, diagnosis.OK, "healthy as far as is known: nobody has tried yet whether it can be reached from outside", ""},
		{"no feed, hidden", func(f *diagnosis.Facts) { f.Feed, f.Node.Relays = nil, nil }, diagnosis.Bad, "the network is reached, but nobody can reach this node: it is behind a NAT, and no relay keeps a place for it", "forward a port"},
		{"no feed, symmetric", func(f *diagnosis.Facts) { f.Feed, f.Node.NATTCP, f.Node.NATUDP = nil, "endpoint-dependent", "unknown" }, diagnosis.Note, "the node works, but its NAT takes another port for each peer: peers behind such a NAT too are reached only through a relay", "--relay-unlimited"},
	} {
		f := good()
		c.spoil(&f)
		v := diagnosis.Judge(f)
		if v.State != c.state || v.Text != c.text {
			t.Errorf("%s: %s %q, want %s %q", c.name, v.State, v.Text, c.state, c.text)
		}
		if !strings.Contains(v.Do, c.do) || (v.Do == "") != (c.do == "") {
			t.Errorf("%s: do %q, want %q", c.name, v.Do, c.do)
		}
		if v.State == diagnosis.Bad && v.Do == "" {
			t.Errorf("%s: nothing to do", c.name)
		}
		for _, s := range v.Steps {
			if s.Text == "" || s.Name == "" || s.State == diagnosis.Bad && s.Do == "" {
				t.Errorf("%s: step %+v", c.name, s)
			}
		}
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		step, want string
		spoil      func(f *diagnosis.Facts)
	}{
		{"listening", "ok: tcp 4001, quic 4001 on all interfaces", nil},
		{"listening", "note: on nothing: this node only calls others", func(f *diagnosis.Facts) { f.Node.Listen = nil }},
		{"listening", "ok: tcp 1 on ::1", func(f *diagnosis.Facts) { f.Node.Listen = []string{"/ip6/::1/tcp/1", "/p2p-circuit"} }},
		{"outside", "ok: others can connect to it, at 203.0.113.7:4001 (quic) (AutoNAT v2)", func(f *diagnosis.Facts) { f.Node.Reachable = []string{"/ip4/203.0.113.7/udp/4001/quic-v1"} }},
		{"outside", "note: this machine has no public address, so it is behind a NAT; nobody has tried to connect yet", func(f *diagnosis.Facts) { f.Node.Assumed = true }},
		{"outside", "wait: a port is mapped, nobody has tried it yet", func(f *diagnosis.Facts) { f.Node.PortMap.Mapped = []string{"/ip4/198.51.100.7/tcp/4001"} }},
		{"outside", "note: others cannot connect to it directly (AutoNAT v2): it is behind a NAT or a firewall", func(f *diagnosis.Facts) { f.Node.Unreachable = []string{"/ip4/198.51.100.7/tcp/4001"} }},
		{"outside", "wait: this node takes itself to be reachable, as others rely on it; nobody has tried to connect back yet", func(f *diagnosis.Facts) {
			f.Node.Server, f.Node.Reachability, f.Node.Assumed = true, "Public", true
		}},
		{"bootstrap", "ok: others enter the network through this node", func(f *diagnosis.Facts) { f.Node.Server, f.Networks[0].Bootstrap = true, nil }},
		{"dht", "note: nobody has joined network lab yet", func(f *diagnosis.Facts) {
			f.Node.Server, f.Networks[0].Bootstrap, f.Networks[0].Peers = true, nil, 0
		}},
		{"nat", "ok: keeps one port for all peers: hole punching works", nil},
		{"nat", "wait: kind not known: it takes two peers at different addresses to tell", func(f *diagnosis.Facts) { f.Node.NATTCP, f.Node.NATUDP = "unknown", "unknown" }},
		{"nat", "ok: takes another port for each peer (symmetric) over TCP, keeps one port for all peers over QUIC: hole punching works", func(f *diagnosis.Facts) { f.Node.NATTCP = "endpoint-dependent" }},
		{"nat", "note: takes another port for each peer (symmetric): hole punching works only with peers whose NAT is better", func(f *diagnosis.Facts) { f.Node.NATTCP, f.Node.NATUDP = "endpoint-dependent", "endpoint-dependent" }},
		{"port map", "note: no router answers (UPnP, NAT-PMP)", nil},
		{"port map", "wait: routers are being asked", func(f *diagnosis.Facts) { f.Node.Seconds = 1 }},
		{"port map", "ok: the router maps 198.51.100.7:4001 (tcp)", func(f *diagnosis.Facts) { f.Node.PortMap.Mapped = []string{"/ip4/198.51.100.7/tcp/4001"} }},
		{"relay", "ok: 12D3…ThemThem keeps a place for it", nil},
		{"relay", "BAD: none: others have no way in, unless a port is mapped", func(f *diagnosis.Facts) { f.Node.Relays = nil }},
		{"bootstrap", "ok: 1 node reached", nil},
		{"dht", "ok: 2 nodes of network lab to ask", nil},
		{"lan", "note: no mDNS: no multicast", func(f *diagnosis.Facts) { f.Node.MDNSError = "no multicast" }},
		{"lan", "ok: 3 nodes found by mDNS", func(f *diagnosis.Facts) { f.Node.MDNS, f.Node.LAN = true, 3 }},
		{"feed", "ok: a copy: 100 blocks, 90 of them here", nil},
		{"feed", "note: yours: 100 blocks; no node of this home serves it", func(f *diagnosis.Facts) { giver(f); f.Feed.Held = false }},
		{"feed", "ok: yours: 100 blocks; another node of this home has it", func(f *diagnosis.Facts) { giver(f); f.Feed.Held, f.Feed.Elsewhere = false, true }},
		{"announced", "ok: on 2 nodes of network lab, valid for 23 hours", giver},
		{"announced", "ok: on 2 nodes of network lab, valid for 23 hours; of 3 asked now, 2 have it", func(f *diagnosis.Facts) { giver(f); f.Feed.Announced[0].Asked, f.Feed.Announced[0].Confirmed = 3, 2 }},
		{"announced", "note: nowhere: network none, and no mDNS", func(f *diagnosis.Facts) { giver(f); f.Feed.Announced, f.Networks = nil, nil }},
		{"providers", "note: not looked for: network none, and no mDNS", func(f *diagnosis.Facts) { f.Feed.Peers[0].How, f.Feed.Looks, f.Networks = diagnosis.HowFixed, 0, nil }},
		{"providers", "ok: 1 peer found", nil},
		{"providers", "ok: 1 peer found, and 2 whose address nobody knows", func(f *diagnosis.Facts) { f.Feed.Bare = 2 }},
		{"providers", "BAD: 2 peers found, whose address nobody knows", func(f *diagnosis.Facts) { f.Feed.Peers, f.Feed.Bare = nil, 2 }},
		{"peer", "ok: 12D3…ThemThem at 203.0.113.9:4001 (quic), found by DHT, direct by a hole punch, speaks /hypercore/replicate/1.0.0, key accepted, has all 100 blocks it knows of", nil},
		{"peer", "BAD: 12D3…ThemThem at 203.0.113.9:4001 (tcp), found by DHT: connection refused (3 attempts)", func(f *diagnosis.Facts) { lost(f, diagnosis.Refused, "/ip4/203.0.113.9/tcp/4001") }},
		{"peer", "BAD: 12D3…ThemThem through the relay 203.0.113.5:4001 (tcp), found by DHT, relayed with narrow limits (no hole punch got through), speaks /hypercore/replicate/1.0.0, key accepted, has 7 of 100 blocks", func(f *diagnosis.Facts) {
			p := &f.Feed.Peers[0]
			p.Addr, p.Relayed, p.Limited, p.PunchAttempts, p.Blocks = "/ip4/203.0.113.5/tcp/4001/p2p/"+me+"/p2p-circuit", true, true, 3, 7
		}},
		{"peer", "BAD: 203.0.113.9:3282, given: connection refused (3 attempts)", func(f *diagnosis.Facts) {
			lost(f, diagnosis.Refused)
			f.Feed.Peers[0].ID, f.Feed.Peers[0].How = "203.0.113.9:3282", diagnosis.HowTCP
		}},
		{"peer", "BAD: 12D3…ThemThem at 203.0.113.9:4001 (quic), found by DHT, direct by a hole punch, speaks /hypercore/replicate/1.0.0, but does not open this feed: it does not have it, or not its key", func(f *diagnosis.Facts) { f.Feed.Peers[0].Accepted = false }},
		{"blocks", "ok: 10 blocks missing, all of them at peers that are connected", nil},
		{"blocks", "wait: 10 blocks missing; of 4 it is not known yet who has them", func(f *diagnosis.Facts) { f.Feed.Unknown = 4 }},
		{"blocks", "ok: all are here", giver},
	} {
		f := good()
		if c.spoil != nil {
			c.spoil(&f)
		}
		var got []string
		for _, s := range diagnosis.Judge(f).Steps {
			if s.Name == c.step {
				state := string(s.State)
				if s.State == diagnosis.Bad {
					state = "BAD"
				}
				got = append(got, state+": "+s.Text)
			}
		}
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q\nwant %q", c.step, got, c.want)
		}
	}
}

// Advice that names other steps names such as are there.
func TestAdvice(t *testing.T) {
	for _, networks := range [][]diagnosis.Network{nil, {{Name: diagnosis.LAN}}, {{Name: "lab"}}, {{Name: "lab"}, {Name: diagnosis.LAN}}} {
		for _, mdns := range []bool{false, true} {
			f := good()
			giver(&f)
			f.Networks, f.Feed.Announced, f.Feed.Lookup, f.Feed.Looks, f.Node.MDNS = networks, nil, true, 0, mdns
			v := diagnosis.Judge(f)
			for _, s := range v.Steps {
				names, ok := strings.CutPrefix(s.Do, "see ")
				for name := range strings.SplitSeq(names, " and ") {
					if ok && !slices.ContainsFunc(v.Steps, func(o diagnosis.Step) bool { return o.Name == name }) {
						t.Errorf("networks %v, mDNS %v: %s: %q", networks, mdns, s.Name, s.Do)
					}
				}
			}
		}
	}
}

// A verdict says what it says in one line, too.
func TestLine(t *testing.T) {
	f := good()
	lost(&f, diagnosis.Refused, "/ip4/203.0.113.9/tcp/4001")
	if got, want := diagnosis.Judge(f).Line(), "1 provider found, unreachable: connection refused; it was there and is not now: start hypercore seed there again"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := diagnosis.Judge(good()).Line(); strings.Contains(got, ";  ") || strings.HasSuffix(got, "; ") {
		t.Errorf("%q", got)
	}
}

// Facts of any kind, also none, come to a verdict.
func FuzzJudge(f *testing.F) {
	f.Add("", "", "", uint64(0), true)
	f.Add("/ip4/203.0.113.9/tcp/4001", "refused", "lab", uint64(17), false)
	f.Add("/p2p-circuit/ip4", "timeout", "lan", uint64(1)<<63, true)
	f.Fuzz(func(t *testing.T, addr, trouble, network string, n uint64, b bool) {
		x := diagnosis.Facts{
			Node:     diagnosis.Node{Listen: []string{addr}, Reachable: []string{addr}, NATTCP: trouble, Reachability: trouble, MDNS: b},
			Networks: []diagnosis.Network{{Name: network, Peers: int(n % 3), Bootstrap: []diagnosis.Bootstrap{{ID: addr, Addrs: []string{addr}, Connected: b, Trouble: trouble}}}},
			Feed: &diagnosis.Feed{Held: b, Lookup: !b, Length: n, Missing: n / 2, Nowhere: n / 4, Looks: int(n % 5), Peers: []diagnosis.Peer{
				{ID: addr, How: trouble, Found: []string{addr}, Addr: addr, Connected: b, Accepted: b, Trouble: trouble},
				{ID: trouble, Connected: !b, Protocol: network, Relayed: b},
			}},
		}
		v := diagnosis.Judge(x)
		if v.State == "" || v.Text == "" || len(v.Steps) == 0 {
			t.Errorf("%+v", v)
		}
		diagnosis.Judge(diagnosis.Facts{})
	})
}
