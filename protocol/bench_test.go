//go:build unix

package protocol_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// BenchmarkReplicate moves a feed from disk to disk over loopback TCP, both sides in this process,
// verified and written. Each iteration is a whole transfer.
func BenchmarkReplicate(b *testing.B) {
	for _, c := range []struct{ size, n int }{{64 << 10, 4096}, {512, 204_800}} {
		for _, d := range dialects {
			b.Run(fmt.Sprintf("%d/%s", c.size, d.name), func(b *testing.B) { benchReplicate(b, c.size, c.n, d.d, d.plain) })
		}
	}
}

// benchCPU is what this process has used: both sides of the transfer.
func benchCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchReplicate(b *testing.B, size, n int, d protocol.Dialect, plain bool) {
	f, err := feed.Open(ctx, store.Dir(b.TempDir()), feed.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < n; {
		var batch [][]byte
		for ; i < n && len(batch) < 128; i++ {
			p := make([]byte, size)
			for k := 0; k < size; k += 8 {
				p[k] = byte(r.Uint32())
			}
			batch = append(batch, p)
		}
		if _, err := f.Append(ctx, batch...); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	src := protocol.New(protocol.Config{})
	defer src.Close()
	if err := src.Add(f, protocol.FeedOptions{}); err != nil {
		b.Fatal(err)
	}
	ids := [2][]byte{[]byte("a"), []byte("b")}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go src.NewStream(c, protocol.StreamOptions{Dialect: d, Plain: plain, LocalID: ids[0], RemoteID: ids[1]}).Run(ctx)
		}
	}()
	b.SetBytes(int64(size * n))
	b.ReportAllocs()
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		g, err := feed.Open(ctx, store.Dir(b.TempDir()), feed.Options{Key: f.Key()})
		if err != nil {
			b.Fatal(err)
		}
		dst := protocol.New(protocol.Config{})
		if err := dst.Add(g, protocol.FeedOptions{}); err != nil {
			b.Fatal(err)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		before := benchCPU()
		b.StartTimer()
		s := dst.NewStream(c, protocol.StreamOptions{Dialect: d, Plain: plain, LocalID: ids[1], RemoteID: ids[0], Feeds: []feed.Key{f.Key()}})
		go s.Run(ctx)
		if err := g.Download(feed.Range{End: uint64(n)}).Wait(ctx); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		cpu += benchCPU() - before
		dst.Close()
		if err := g.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(b.N*n), "cpu-µs/block")
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "blocks/s")
}
