// Command follow prints a feed as it grows, knowing only its key.
//
//	go run ./examples/follow [-network NAME] [-bootstrap ADDR] [-local] KEY
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("follow", flag.ContinueOnError)
	network := fs.String("network", "", "name of the DHT network (default: the public one)")
	bootstrap := fs.String("bootstrap", "", "multiaddr with /p2p/ID of a node of the network")
	local := fs.Bool("local", false, "stay on this machine: listen on loopback only")
	count := fs.Uint64("n", 0, "stop after this many blocks")
	if err := fs.Parse(args); err != nil {
		return err
	}
	key, err := feed.ParseKey(fs.Arg(0))
	if err != nil {
		return err
	}
	cfg := node.Config{Network: *network}
	if *local {
		cfg.Listen = node.Loopback()
	}
	if *bootstrap != "" {
		p, err := peer.AddrInfoFromString(*bootstrap)
		if err != nil {
			return err
		}
		cfg.Bootstrap = []peer.AddrInfo{*p}
	}
	n, err := node.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer n.Close()
	// Sparse: only the blocks that are read are fetched. Memory: nothing stays.
	f, err := n.Open(ctx, store.Memory(), feed.Options{Key: key, Sparse: true})
	if err != nil {
		return err
	}
	if _, err := n.Share(ctx, f, node.JoinOptions{Lookup: true}); err != nil {
		return err
	}
	for b, err := range f.Blocks(ctx, feed.ReadOptions{Live: true}) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d: %s\n", b.Index, b.Data)
		if b.Index+1 == *count {
			return nil
		}
	}
	return nil
}
