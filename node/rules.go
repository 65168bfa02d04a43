package node

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Rule is what the operator says of a peer, or of all peers at addresses of a
// range: not to have anything to do with them, or to put up with them.
//
// Nothing goes to or comes from who is blocked: neither dials nor connections,
// and those that exist are closed. An allowed peer is not refused for what it
// did wrong, and its connection is not given up when there are too many; a
// stream on which it does something wrong ends all the same. Block wins over
// allow. On an application's host (Config.Host) the connections are the
// application's: there a rule is about replication streams only.
type Rule struct {
	Peer   peer.ID      // this one; empty:
	Prefix netip.Prefix // those at an address in it
	Block  bool         // false: allow
	Reason string       // for people
	Since  time.Time    // when it was made
}

// MaxRules bounds the rules of a node: each new connection is compared with all
// ranges.
const MaxRules = 4096

// errBlocked is why there is nothing to do with a peer.
var errBlocked = errors.New("node: blocked by the operator")

// ParseRule reads whom a rule is about: a peer ID, an IP address or a range in
// CIDR notation.
func ParseRule(s string) (Rule, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return Rule{Prefix: p.Masked()}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return Rule{Prefix: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	id, err := peer.Decode(s)
	if err != nil {
		return Rule{}, fmt.Errorf("node: %q is neither a peer ID nor an IP address or range", s)
	}
	return Rule{Peer: id}, nil
}

// Target is what ParseRule reads.
func (r Rule) Target() string {
	switch {
	case r.Peer != "":
		return r.Peer.String()
	case r.Prefix.IsSingleIP():
		return r.Prefix.Addr().String()
	}
	return r.Prefix.String()
}

// rules are all of them, ordered for looking up.
type rules struct {
	peers  map[peer.ID]Rule
	ranges []Rule
}

// ruleBook holds the rules in force. The zero book, and a nil one, have none.
type ruleBook struct{ now atomic.Pointer[rules] }

func (b *ruleBook) set(list []Rule) error {
	if len(list) > MaxRules {
		return fmt.Errorf("node: %d rules, at most %d are possible", len(list), MaxRules)
	}
	r := &rules{peers: map[peer.ID]Rule{}}
	for _, x := range list {
		switch {
		case x.Peer != "":
			if have, ok := r.peers[x.Peer]; !ok || !have.Block {
				r.peers[x.Peer] = x
			}
		case x.Prefix.IsValid():
			r.ranges = append(r.ranges, x)
		default:
			return errors.New("node: a rule about nobody")
		}
	}
	b.now.Store(r)
	return nil
}

// about returns the rule that holds for a peer at an address, which may be nil,
// or at any if the peer is empty: one that blocks, else one that allows.
func (b *ruleBook) about(id peer.ID, a ma.Multiaddr) (rule Rule, ok bool) {
	if b == nil || b.now.Load() == nil {
		return rule, false
	}
	r := b.now.Load()
	if rule, ok = r.peers[id]; ok && rule.Block || len(r.ranges) == 0 || a == nil {
		return rule, ok
	}
	raw, err := manet.ToIP(a)
	ip, is := netip.AddrFromSlice(raw)
	if err != nil || !is || isRelayed(a) { // that of the relay
		return rule, ok
	}
	for _, x := range r.ranges {
		if x.Prefix.Contains(ip.Unmap()) && (!ok || x.Block) {
			if rule, ok = x, true; x.Block {
				break
			}
		}
	}
	return rule, ok
}

func (b *ruleBook) blocks(id peer.ID, a ma.Multiaddr) bool {
	r, ok := b.about(id, a)
	return ok && r.Block
}

func (b *ruleBook) allows(id peer.ID, a ma.Multiaddr) bool {
	r, ok := b.about(id, a)
	return ok && !r.Block
}

// SetRules replaces the rules, those of Config.Rules too. Connections with peers
// that are blocked now are closed before it returns.
func (n *Node) SetRules(list []Rule) error {
	if err := n.usable(); err != nil {
		return err
	}
	if err := n.rules.set(list); err != nil {
		return err
	}
	p := n.peers
	p.mu.Lock()
	var cut []*link
	for _, st := range p.m {
		var at ma.Multiaddr
		if st.link != nil {
			at = st.link.raw.Conn().RemoteMultiaddr()
			if n.rules.blocks(st.id, at) {
				cut = append(cut, st.link)
			}
		}
		if n.rules.allows(st.id, at) {
			delete(p.offenders, st.id)
		}
		signal(st.wake) // it may be dialled now
	}
	for id := range p.offenders {
		if n.rules.allows(id, nil) {
			delete(p.offenders, id)
		}
	}
	p.mu.Unlock()
	for _, l := range cut {
		l.cancel(errBlocked)
	}
	for _, c := range n.host.Network().Conns() {
		switch id, at := c.RemotePeer(), c.RemoteMultiaddr(); {
		case n.rules.blocks(id, at) && n.hosting.ours:
			_ = c.Close()
		case n.rules.allows(id, at):
			n.host.ConnManager().Protect(id, allowTag)
		default:
			n.host.ConnManager().Unprotect(id, allowTag)
		}
	}
	return nil
}

// Rules returns the rules in force: of peers by ID, then of ranges.
func (n *Node) Rules() []Rule {
	r := n.rules.now.Load()
	if r == nil {
		return nil
	}
	var out []Rule
	for _, x := range r.peers {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Rule) int { return strings.Compare(string(a.Peer), string(b.Peer)) })
	return append(out, r.ranges...)
}
