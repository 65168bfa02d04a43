package feed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/store"
)

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		size, batch int
	}{{512, 1}, {512, 128}, {64 << 10, 1}, {64 << 10, 128}} {
		b.Run(fmt.Sprintf("%dx%d", c.batch, c.size), func(b *testing.B) {
			ctx := context.Background()
			f := open(b, store.Dir(b.TempDir()), feed.Options{})
			batch := make([][]byte, c.batch)
			for i := range batch {
				batch[i] = make([]byte, c.size)
				batch[i][0] = byte(i)
			}
			b.SetBytes(int64(c.batch * c.size))
			b.ReportAllocs()
			defer cpu(b, c.batch, "block")()
			for b.Loop() {
				if _, err := f.Append(ctx, batch...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

// BenchmarkAppendDurable appends from 64 goroutines, each waiting for the disk.
func BenchmarkAppendDurable(b *testing.B) {
	ctx := context.Background()
	f := open(b, store.Dir(b.TempDir()), feed.Options{Durability: feed.AppendDurable})
	block := make([]byte, 512)
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	defer cpu(b, 1, "block")()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.Append(ctx, block); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}

// BenchmarkCommit is a commit of one block, alone: with a slot of the journal and
// everything synced, as one entry of the journal, and without a sync.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name string
		d    feed.Durability
	}{{"slot", feed.AnnounceDurable}, {"entry", feed.AppendDurable}, {"unsynced", feed.NoSync}} {
		b.Run(c.name, func(b *testing.B) {
			ctx := context.Background()
			f := open(b, store.Dir(b.TempDir()), feed.Options{Durability: c.d})
			block := make([]byte, 512)
			b.ReportAllocs()
			defer cpu(b, 1, "commit")()
			for b.Loop() {
				if _, err := f.Append(ctx, block); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFdatasync is what BenchmarkAppendDurable is measured against.
func BenchmarkFdatasync(b *testing.B) {
	f, err := store.Dir(b.TempDir()).Open("file", true)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 512)
	off := int64(0)
	for b.Loop() {
		if _, err := f.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
		off += 512
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}

func filled(b *testing.B, blocks, size int) *feed.Feed {
	b.Helper()
	ctx := context.Background()
	f := open(b, store.Dir(b.TempDir()), feed.Options{})
	batch := make([][]byte, 0, 1024)
	for i := range blocks {
		p := make([]byte, size)
		for k := 0; k+8 <= size && k < 64; k += 8 {
			p[k] = byte(i >> (k / 4))
		}
		if batch = append(batch, p); len(batch) == cap(batch) || i == blocks-1 {
			if _, err := f.Append(ctx, batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	if err := f.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	return f
}

func BenchmarkGetRandom(b *testing.B) {
	for _, n := range []int{1000, 200_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ctx := context.Background()
			f := filled(b, n, 512)
			r := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			defer cpu(b, 1, "block")()
			for b.Loop() {
				if _, err := f.Get(ctx, r.Uint64N(uint64(n))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBlocks(b *testing.B) {
	for _, c := range []struct{ n, size int }{{200_000, 512}, {2000, 64 << 10}} {
		b.Run(fmt.Sprint(c.size), func(b *testing.B) {
			f := filled(b, c.n, c.size)
			b.SetBytes(int64(c.n * c.size))
			b.ReportAllocs()
			defer cpu(b, c.n, "block")()
			for b.Loop() {
				n := 0
				for _, err := range f.Blocks(context.Background(), feed.ReadOptions{}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != c.n {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.N*c.n)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

// sent tells what a peer was sent on a connection, so that proofs get short.
type sent struct{ bitfield.Bits }

func proofs(b *testing.B, src *feed.Feed, n int) []feed.Proof {
	b.Helper()
	remote := new(sent)
	list := make([]feed.Proof, n)
	for i := range list {
		if err := src.Prove(feed.ProofRequest{Index: uint64(i)}, remote, &list[i]); err != nil {
			b.Fatal(err)
		}
		for _, k := range list[i].Nodes {
			remote.Set(k.Index, true)
		}
		var err error
		if list[i].Value, err = src.ReadBlock([]byte{}, uint64(i)); err != nil {
			b.Fatal(err)
		}
	}
	return list
}

// BenchmarkApply downloads in order.
func BenchmarkApply(b *testing.B) {
	for _, c := range []struct{ n, size int }{{100_000, 512}, {2000, 64 << 10}} {
		b.Run(fmt.Sprint(c.size), func(b *testing.B) {
			src := filled(b, c.n, c.size)
			list := proofs(b, src, c.n)
			nodes := 0
			for i := range list {
				nodes += len(list[i].Nodes)
			}
			b.SetBytes(int64(c.n * c.size))
			b.ReportAllocs()
			defer cpu(b, c.n, "block")()
			for b.Loop() {
				b.StopTimer()
				dst := open(b, store.Dir(b.TempDir()), feed.Options{Key: src.Key()})
				b.StartTimer()
				for i := 0; i < len(list); i += 128 {
					if _, err := dst.Apply(context.Background(), list[i:min(i+128, len(list))]); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				dst.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N*c.n)/b.Elapsed().Seconds(), "blocks/s")
			b.ReportMetric(float64(nodes)/float64(c.n), "nodes/block")
		})
	}
}

// BenchmarkProve answers requests in order, and at random.
func BenchmarkProve(b *testing.B) {
	const n = 200_000
	f := filled(b, n, 32)
	b.Run("linear", func(b *testing.B) {
		var p feed.Proof
		remote := new(sent)
		i := uint64(0)
		b.ReportAllocs()
		defer cpu(b, 1, "block")()
		for b.Loop() {
			if i == n {
				i, remote = 0, new(sent)
			}
			if err := f.Prove(feed.ProofRequest{Index: i}, remote, &p); err != nil {
				b.Fatal(err)
			}
			for _, k := range p.Nodes {
				remote.Set(k.Index, true)
			}
			i++
		}
	})
	b.Run("random", func(b *testing.B) {
		var p feed.Proof
		r := rand.New(rand.NewPCG(1, 1))
		b.ReportAllocs()
		defer cpu(b, 1, "block")()
		for b.Loop() {
			if err := f.Prove(feed.ProofRequest{Index: r.Uint64N(n)}, nil, &p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens feeds of different lengths.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{0, 1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := store.Dir(b.TempDir())
			f := open(b, dir, feed.Options{Durability: feed.NoSync})
			batch := make([][]byte, 4096)
			for i := range batch {
				batch[i] = []byte{byte(i)}
			}
			for left := n; left > 0; left -= 4096 {
				if _, err := f.Append(context.Background(), batch[:min(left, 4096)]...); err != nil {
					b.Fatal(err)
				}
			}
			f.Close()
			b.ReportAllocs()
			for b.Loop() {
				f, err := feed.Open(context.Background(), dir, feed.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				f.Close()
				b.StartTimer()
			}
		})
	}
}
