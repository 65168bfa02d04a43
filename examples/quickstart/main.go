// Command quickstart embeds a node: it makes a feed, appends to it, shares it
// and reads it back.
//
//	go run ./examples/quickstart [-dir DIR] [-network NAME] [-local] [-stay]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	dir := fs.String("dir", "quickstart-data", "where the node and the feed are kept")
	network := fs.String("network", "", "name of the DHT network (default: the public one)")
	local := fs.Bool("local", false, "stay on this machine: listen on loopback only")
	stay := fs.Bool("stay", false, "serve until interrupted")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg := node.Config{Dir: filepath.Join(*dir, "node"), Network: *network}
	if *local {
		cfg.Listen = node.Loopback()
	}
	where := filepath.Join(*dir, "feed")
	// README
	n, err := node.New(ctx, cfg) // the zero Config is a node on the public DHT
	if err != nil {
		return err
	}
	defer n.Close() // its feeds too

	f, err := n.Open(ctx, store.Dir(where), feed.Options{}) // made if it is not there
	if err != nil {
		return err
	}
	// Refused in a directory that was restored or copied, if cfg.Dir is set: see package node.
	if _, err := f.Append(ctx, []byte("hello"), []byte("world")); err != nil {
		return err
	}
	if _, err := n.Share(ctx, f, node.JoinOptions{Announce: true}); err != nil {
		return err
	}
	fmt.Fprintln(out, "key:", f.Key()) // what a reader needs: feed.Options{Key: key}

	for b, err := range f.Blocks(ctx, feed.ReadOptions{}) { // Live: true goes on with what comes
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "block %d: %s\n", b.Index, b.Data)
	}
	// end
	if *stay {
		<-ctx.Done()
	}
	return nil
}
