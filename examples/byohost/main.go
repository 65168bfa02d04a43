// Command byohost mounts a hypercore node on a libp2p host and a DHT that the
// application has already: no second host, no second port, no second identity.
//
//	go run ./examples/byohost
//
// It runs two such applications on loopback, one that writes and one that reads.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// app is an application with a host and a DHT of its own.
type app struct {
	host host.Host
	dht  *dht.IpfsDHT
	node *node.Node
}

func newApp(ctx context.Context, bootstrap ...peer.AddrInfo) (*app, error) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())
	if err != nil {
		return nil, err
	}
	a := &app{host: h}
	a.dht, err = dht.New(h, dht.ProtocolPrefix("/byohost"), dht.Mode(dht.ModeServer), dht.BootstrapPeers(bootstrap...))
	if err == nil {
		err = a.dht.Bootstrap(ctx)
	}
	if err == nil {
		a.node, err = node.New(ctx, node.Config{Host: h, Routing: a.dht})
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close ends the node first: it does not own the host and the DHT.
func (a *app) Close() {
	if a.node != nil {
		a.node.Close()
	}
	if a.dht != nil {
		a.dht.Close()
	}
	a.host.Close()
}

func run(ctx context.Context, out io.Writer) error {
	writer, err := newApp(ctx)
	if err != nil {
		return err
	}
	defer writer.Close()
	f, err := writer.node.Open(ctx, store.Memory(), feed.Options{})
	if err != nil {
		return err
	}
	if _, err := f.Append(ctx, []byte("one host for everything")); err != nil {
		return err
	}
	if _, err := writer.node.Share(ctx, f, node.JoinOptions{Announce: true}); err != nil {
		return err
	}

	reader, err := newApp(ctx, peer.AddrInfo{ID: writer.host.ID(), Addrs: writer.host.Addrs()})
	if err != nil {
		return err
	}
	defer reader.Close()
	c, err := reader.node.Open(ctx, store.Memory(), feed.Options{Key: f.Key()})
	if err != nil {
		return err
	}
	if _, err := reader.node.Share(ctx, c, node.JoinOptions{Lookup: true}); err != nil {
		return err
	}
	b, err := c.Get(ctx, 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", b)
	return nil
}
