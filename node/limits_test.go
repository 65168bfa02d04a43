package node_test

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/node"
)

// One host of a private range leaves connections to the others of it.
func TestConnectionsOfOneHost(t *testing.T) {
	r, err := node.Resources(node.Config{MaxConns: 2000})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	connect := func(ip string) error {
		c, err := r.OpenConnection(network.DirInbound, false, ma.StringCast(fmt.Sprintf("/ip4/%s/udp/4001/quic-v1", ip)))
		if err != nil {
			return err
		}
		id, err := test.RandPeerID()
		if err != nil {
			t.Fatal(err)
		}
		return c.SetPeer(id)
	}
	for _, ip := range []string{"10.0.0.", "172.16.0.", "192.168.1.", "100.64.0."} {
		n := 0
		for connect(ip+"1") == nil {
			n++
		}
		if n < 32 || n > 128 {
			t.Errorf("%s1 has %d connections", ip, n)
		}
		if err := connect(ip + "2"); err != nil {
			t.Errorf("%s2 after %d of %s1: %v", ip, n, ip, err)
		}
	}
}
