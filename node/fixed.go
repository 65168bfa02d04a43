package node

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// addFixed adds a peer that is always wanted.
func (p *peers) addFixed(info peer.AddrInfo) error {
	p.n.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	st := p.get(info.ID)
	st.fixed = true
	p.refresh(st, info.Addrs)
	p.offer(st)
	p.keep(st)
	p.grantTurns() // it may wait for one, and come first now
	signal(st.wake)
	return nil
}

// AddPeer has the node keep connected to one more peer, and offer it every feed shared,
// as Config.Peers does from the start: for programs that have a way of their own to find
// peers. It does not wait for the connection; Join.Status tells how it goes. A peer that
// is known gets the addresses besides those it has. A node that listens on loopback only
// uses no others.
func (n *Node) AddPeer(info peer.AddrInfo) error {
	if info.ID == n.host.ID() {
		return fmt.Errorf("node: peer %s is this node", info.ID)
	}
	if n.hosting.loopback {
		only := onlyLoopback([]peer.AddrInfo{info})
		if len(only) == 0 {
			return fmt.Errorf("node: peer %s has no loopback address, and this node uses no others", info.ID)
		}
		info = only[0]
	}
	return n.peers.addFixed(info)
}

// RemovePeer takes AddPeer, or Config.Peers, back. A stream that is open stays so while
// it is used.
func (n *Node) RemovePeer(id peer.ID) {
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	if st := n.peers.m[id]; st != nil {
		st.fixed = false
		signal(st.wake)
		n.peers.drop(st)
	}
}
