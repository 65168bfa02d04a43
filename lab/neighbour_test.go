//go:build linux

package lab

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libproto "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"
)

// What a host may do to the network when the DHT lies to it.
const (
	liedFor     = 20 * time.Second
	maxHalfOpen = 160 // TCP connections begun and not answered, at a time
	maxDialRate = 200 // connections begun per second, TCP and QUIC together
	lies        = 200 // peers that each answer of the liar names
)

// TestLies: a host on the open internet asks a DHT server that answers each
// question with new peers, most of whose addresses are private ones, and the
// others lead nowhere.
func TestLies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seg := w.segment()
	n := &internet{seg: seg}
	l, ip := n.connect("liar", "boot", line{delay: delay})
	liar := l.space.role("liar", ip)
	liar.waitFor("its address", func() bool { return len(liar.stdout.lines()) > 0 })
	n.bootAddrs = liar.stdout.lines()
	nowhere := w.space("nowhere")
	seg.plug(nowhere, "w0", line{delay: delay})
	nowhere.ip("addr add 45.0.0.254/24 dev w0")
	v, _ := n.connect("victim", "a", homeLine)
	v.space.ip("route add default via 45.0.0.254")

	c := v.space.hypercore("clone", append([]string{"clone", strings.Repeat("ab", 32)}, n.net()...)...)
	c.waitFor("a first dial", func() bool { return len(seg.seen().dials) > 0 })
	half, udp := 0, map[uint16]int{} // how often a port was there
	for end := time.Now().Add(liedFor); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		socks, err := sockets(c.cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		half = max(half, socks.halfOpen)
		for p := range socks.udp {
			udp[p]++
		}
	}
	delete(udp, 5353) // mDNS
	for p, times := range udp {
		if times < 5 { // a socket that asked the kernel for a route, say
			delete(udp, p)
		}
	}
	seen := seg.seen()
	me := netip.MustParseAddr(places["a"].v4)
	var private []string
	var begun []time.Time
	targets := map[netip.AddrPort]bool{}
	for _, d := range seen.dials {
		if d.from.Addr() != me {
			continue
		}
		if isPrivate(d.to.Addr()) {
			private = append(private, d.to.String())
		}
		if !targets[d.to] { // the kernel repeats a SYN
			targets[d.to] = true
			begun = append(begun, d.at)
		}
	}
	for f, at := range seen.flows {
		if f.from.Addr() != me || f.to.Addr().IsMulticast() {
			continue
		}
		if isPrivate(f.to.Addr()) {
			private = append(private, f.to.String())
		}
		begun = append(begun, at)
	}
	rate := busiest(begun, time.Second)
	t.Logf("in %v: %d connections begun, at most %d in a second, at most %d TCP half open, UDP ports %d, to private addresses %d", liedFor, len(begun), rate, half, len(udp), len(private))
	if len(private) > 0 {
		t.Errorf("dialled private addresses: %v", private[:min(len(private), 10)])
	}
	if len(begun) < 20 {
		t.Errorf("%d connections begun: the lies were not heard", len(begun))
	}
	if half > maxHalfOpen {
		t.Errorf("%d connections half open, the limit is %d", half, maxHalfOpen)
	}
	if rate > maxDialRate {
		t.Errorf("%d connections begun in a second, the limit is %d", rate, maxDialRate)
	}
	if len(udp) != 1 {
		t.Errorf("%d UDP ports in use: %v", len(udp), udp)
	}
	rows := newTable("neighbour", "in "+liedFor.String(), "counted", "limit")
	rows.add(0, "connections to private, carrier or link-local addresses", fmt.Sprint(len(private)), "0")
	rows.add(1, "connections begun in the busiest second, TCP and QUIC", fmt.Sprint(rate), fmt.Sprint(maxDialRate))
	rows.add(2, "TCP connections half open at a time", fmt.Sprint(half), fmt.Sprint(maxHalfOpen))
	rows.add(3, "UDP ports in use besides that of mDNS", fmt.Sprint(len(udp)), "1")
	rows.write(t)
}

// busiest returns how many of times lie in the fullest window.
func busiest(times []time.Time, window time.Duration) (most int) {
	slices.SortFunc(times, func(a, b time.Time) int { return a.Compare(b) })
	first := 0
	for i, at := range times {
		for at.Sub(times[first]) > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func isPrivate(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLinkLocalUnicast() || netip.MustParsePrefix("100.64.0.0/10").Contains(ip)
}

// socketCount is what a process's network namespace has open.
type socketCount struct {
	halfOpen int
	udp      map[uint16]bool // local ports
}

// sockets reads the tables of the namespace of a process.
func sockets(pid int) (c socketCount, err error) {
	c.udp = map[uint16]bool{}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return c, err
		}
		lines := bufio.NewScanner(f)
		lines.Scan() // the heading
		for lines.Scan() {
			cells := strings.Fields(lines.Text())
			if len(cells) < 4 {
				continue
			}
			if strings.HasPrefix(table, "tcp") {
				if cells[3] == "02" { // SYN-SENT
					c.halfOpen++
				}
				continue
			}
			_, port, _ := strings.Cut(cells[1], ":")
			if p, err := strconv.ParseUint(port, 16, 16); err == nil {
				c.udp[uint16(p)] = true
			}
		}
		f.Close()
	}
	return c, nil
}

// sendUDP sends one packet.
func sendUDP(to string) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("lab"))
	return errors.Join(err, c.Close())
}

// liarRole is a DHT server at an address that answers every question with
// peers that it made up.
func liarRole(args []string) error {
	h, err := libp2p.New(libp2p.DisableMetrics(), libp2p.ListenAddrStrings("/ip4/"+args[0]+"/tcp/4001"), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return err
	}
	for _, lan := range []string{"", "/lan"} {
		h.SetStreamHandler(libproto.ID("/hypercore/"+labNetwork+lan+"/kad/1.0.0"), lie)
	}
	fmt.Printf("%s/p2p/%s\n", h.Addrs()[0], h.ID())
	select {}
}

func lie(s network.Stream) {
	defer s.Reset()
	r, w := msgio.NewVarintReaderSize(s, network.MessageSizeMax), msgio.NewVarintWriter(s)
	for {
		b, err := r.ReadMsg()
		if err != nil {
			return
		}
		var m pb.Message
		err = proto.Unmarshal(b, &m)
		r.ReleaseMsg(b)
		if err != nil {
			return
		}
		if m.GetType() == pb.Message_ADD_PROVIDER {
			continue
		}
		answer := &pb.Message{Type: m.Type, Key: m.Key, CloserPeers: madeUp(20)}
		if m.GetType() == pb.Message_GET_PROVIDERS {
			answer.ProviderPeers = madeUp(lies)
		}
		out, err := proto.Marshal(answer)
		if err != nil || w.WriteMsg(out) != nil {
			return
		}
	}
}

// madeUp returns peers that do not exist, at addresses of others.
func madeUp(n int) (out []*pb.Message_Peer) {
	for range n {
		_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			continue
		}
		id, err := peer.IDFromPublicKey(pub)
		if err != nil {
			continue
		}
		p := &pb.Message_Peer{Id: []byte(id), Connection: pb.Message_CONNECTED}
		for i, net := range []string{"10.0.0.0", "172.16.0.0", "192.168.0.0", "100.64.0.0", "169.254.0.0", "45.77.0.0", "45.78.0.0"} {
			ip := netip.MustParseAddr(net).As4()
			binary.BigEndian.PutUint16(ip[2:], uint16(mrand.N(1<<16)))
			f := "/ip4/%s/tcp/4001"
			if i%2 == 1 {
				f = "/ip4/%s/udp/4001/quic-v1"
			}
			p.Addrs = append(p.Addrs, ma.StringCast(fmt.Sprintf(f, netip.AddrFrom4(ip))).Bytes())
		}
		out = append(out, p)
	}
	return out
}
