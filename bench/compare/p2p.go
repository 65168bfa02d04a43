package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// newHost is a libp2p host on loopback for the limit and for bitswap: TCP, TLS
// and yamux with frames of up to 256 KiB, which is what moves most bytes.
func newHost() (host.Host, error) {
	mux := *yamux.DefaultTransport
	mux.MaxMessageSize = 256 * kib
	mux.InitialStreamWindowSize = 16 * mib
	return libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Muxer(yamux.ID, &mux),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
	)
}

// offerOf is the address of a host, to be dialled by dialOffer.
func offerOf(h host.Host) (string, error) {
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	if err != nil {
		return "", err
	}
	if len(addrs) == 0 {
		return "", errors.New("host listens nowhere")
	}
	return addrs[0].String(), nil
}

func dialOffer(ctx context.Context, h host.Host, offer string) (peer.ID, error) {
	addr, err := ma.NewMultiaddr(offer)
	if err != nil {
		return "", err
	}
	info, err := peer.AddrInfoFromP2pAddr(addr)
	if err != nil {
		return "", err
	}
	if err := h.Connect(ctx, *info); err != nil {
		return "", fmt.Errorf("dial %s: %w", offer, err)
	}
	return info.ID, nil
}
