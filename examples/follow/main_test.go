package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/leaktest"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

func TestRun(t *testing.T) {
	leaktest.Check(t)
	ctx := t.Context()
	n, err := node.New(ctx, node.Config{Network: "follow", Listen: node.Loopback(), Server: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	f, err := n.Open(ctx, store.Memory(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Append(ctx, []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Share(ctx, f, node.JoinOptions{Announce: true}); err != nil {
		t.Fatal(err)
	}
	pr := make(writer, 8)
	done := make(chan error)
	go func() {
		done <- run(ctx, []string{"-network", "follow", "-bootstrap", n.Addrs()[0].String(), "-local", "-n", "4", f.Key().String()}, pr)
	}()
	var out strings.Builder
	for i := range 4 {
		if i >= 2 { // these come while it follows
			if _, err := f.Append(ctx, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		out.WriteString(<-pr)
	}
	if err := <-done; err != nil || out.String() != "0: a\n1: b\n2: 2\n3: 3\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// writer passes on what is written.
type writer chan string

func (w writer) Write(p []byte) (int, error) { w <- string(p); return len(p), nil }
