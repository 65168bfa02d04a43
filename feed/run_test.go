package feed_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// proveRun is the answer to a request for n blocks.
func proveRun(t testing.TB, src *feed.Feed, start, n, first, last uint64, remote merkle.MutableBits) feed.Proof {
	t.Helper()
	var p feed.Proof
	if err := src.ProveRun(start, n, first, last, remote, &p); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.Value, _, err = src.ReadBlocks([]byte{}, start, n, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRuns downloads random runs and single blocks of a feed that grows.
func TestRuns(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(testRounds(20)) {
		r := rand.New(rand.NewPCG(seed, 31))
		src := open2(t, 31, 3)
		var want [][]byte
		for i := range uint64(3) {
			want = append(want, block(i))
		}
		st := store.Memory()
		dst := open(t, st, feed.Options{Key: src.Key(), Sparse: true})
		remote := new(bitfield.Bits)
		for range 40 {
			switch r.IntN(6) {
			case 0:
				var batch [][]byte
				for range 1 + r.IntN(40) {
					b := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(50))
					batch = append(batch, b)
				}
				want = append(want, batch...)
				if _, err := src.Append(ctx, batch...); err != nil {
					t.Fatal(err)
				}
				if err := src.Sync(ctx); err != nil {
					t.Fatal(err)
				}
			case 1:
				transfer(t, src, dst, r.Uint64N(src.Len()))
			case 2:
				if err := dst.Close(); err != nil {
					t.Fatal(err)
				}
				dst = open(t, st, feed.Options{Sparse: true})
				remote = new(bitfield.Bits)
			default:
				start := r.Uint64N(src.Len())
				n := 1 + r.Uint64N(min(src.Len()-start, 30))
				first, last := dst.DigestRun(start, n)
				if r.IntN(3) == 0 {
					first, last = 0, 0
				}
				p := proveRun(t, src, start, n, first, last, remote)
				if k, err := dst.Apply(ctx, []feed.Proof{p}); k != 1 || err != nil {
					t.Fatalf("seed %d: run %d+%d of %d: %d, %v", seed, start, n, src.Len(), k, err)
				}
				if !dst.HasRange(start, start+n) {
					t.Fatalf("seed %d: run %d+%d is not here", seed, start, n)
				}
			}
		}
		for i := range src.Len() {
			if !dst.Has(i) {
				transfer(t, src, dst, i)
			}
		}
		check(t, dst, want)
		audit(t, dst)
		src.Close()
		dst.Close()
	}
}

// TestHostileRuns: runs that are wrong are the sender's fault.
func TestHostileRuns(t *testing.T) {
	ctx := context.Background()
	src := open2(t, 32, 50)
	good := proveRun(t, src, 10, 20, 0, 0, nil)
	for name, change := range map[string]func(p *feed.Proof){
		"no sizes":        func(p *feed.Proof) { p.Sizes = []uint64{} },
		"too many sizes":  func(p *feed.Proof) { p.Sizes = make([]uint64, 5000) },
		"sizes too small": func(p *feed.Proof) { p.Sizes[3]-- },
		"sizes too large": func(p *feed.Proof) { p.Sizes[3]++ },
		"huge size":       func(p *feed.Proof) { p.Sizes[3] = 1<<64 - 1 },
		"sizes moved":     func(p *feed.Proof) { p.Sizes[3]++; p.Sizes[4]-- },
		"value":           func(p *feed.Proof) { p.Value[100] ^= 1 },
		"no value":        func(p *feed.Proof) { p.Value = nil },
		"index":           func(p *feed.Proof) { p.Index++ },
		"huge index":      func(p *feed.Proof) { p.Index = 1<<64 - 3 },
		"at the end":      func(p *feed.Proof) { p.Index = feed.MaxLength - 5 },
		"node":            func(p *feed.Proof) { p.Nodes[1].Hash[1] ^= 1 },
		"nodes":           func(p *feed.Proof) { p.Nodes = make([]merkle.Node, 10000) },
		"signature":       func(p *feed.Proof) { p.Signature[1] ^= 1 },
	} {
		dst := open(t, store.Memory(), feed.Options{Key: src.Key()})
		p := good
		p.Value, p.Signature = bytes.Clone(good.Value), bytes.Clone(good.Signature)
		p.Sizes = append([]uint64(nil), good.Sizes...)
		p.Nodes = append([]merkle.Node(nil), good.Nodes...)
		change(&p)
		if n, err := dst.Apply(ctx, []feed.Proof{p, good}); n != 0 || !errors.Is(err, feed.ErrInvalidProof) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if dst.Downloaded(0, 100) != 0 || dst.Len() != 0 {
			t.Errorf("%s: it had an effect", name)
		}
		if n, err := dst.Apply(ctx, []feed.Proof{good}); n != 1 || err != nil {
			t.Errorf("%s: the right one afterwards: %d, %v", name, n, err)
		}
		dst.Close()
	}
	var p feed.Proof
	for _, c := range [][2]uint64{{0, 0}, {40, 11}, {50, 1}, {1 << 60, 3}, {0, 5000}} {
		if err := src.ProveRun(c[0], c[1], 0, 0, nil, &p); err == nil {
			t.Errorf("ProveRun(%d, %d) succeeded", c[0], c[1])
		}
	}
}

// BenchmarkApplyRuns downloads in order, 128 blocks a proof.
func BenchmarkApplyRuns(b *testing.B) {
	const n = 131072
	src := filled(b, n, 512)
	var list []feed.Proof
	for i := uint64(0); i < n; i += 128 {
		list = append(list, proveRun(b, src, i, 128, 0, 0, nil))
	}
	b.SetBytes(n * 512)
	b.ReportAllocs()
	defer cpu(b, n, "block")()
	for b.Loop() {
		b.StopTimer()
		dst := open(b, store.Dir(b.TempDir()), feed.Options{Key: src.Key()})
		b.StartTimer()
		for i := range list {
			if _, err := dst.Apply(context.Background(), list[i:i+1]); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		dst.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "blocks/s")
}
