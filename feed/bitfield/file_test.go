package bitfield_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// fileImage is a file of the vectors: chunks are [offset, hex] of what is not zero.
type fileImage struct {
	Length int
	Sha256 string
	Chunks [][2]any
}

func (v fileImage) bytes(t *testing.T) []byte {
	b := make([]byte, v.Length)
	for _, c := range v.Chunks {
		p, err := hex.DecodeString(c[1].(string))
		if err != nil {
			t.Fatal(err)
		}
		copy(b[int(c[0].(float64)):], p)
	}
	if s := sha256.Sum256(b); hex.EncodeToString(s[:]) != v.Sha256 {
		t.Fatal("the vector's chunks do not make its file")
	}
	return b
}

type imageVectors struct {
	Images []struct {
		Name          string
		PageSize      int
		Append, Clear [][2]uint64
		LengthOnOpen  uint64
		File          fileImage
	}
	Clones []struct {
		Name               string
		DataBits, TreeBits []uint64
		BitfieldFile       fileImage
	}
}

func vectors(t *testing.T) (v imageVectors) {
	b, err := os.ReadFile("../../testdata/vectors/bitfield.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// disk is a bitfield file in memory.
type disk struct{ b []byte }

func newDisk(pageSize int) *disk {
	h := bitfield.Header(pageSize)
	return &disk{b: h[:]}
}

func (d *disk) write(f *bitfield.File) {
	f.Take(func(p uint64) {
		img := f.Page(p, nil)
		off := bitfield.HeaderSize + int(p)*f.PageSize()
		if n := off + len(img); n > len(d.b) {
			d.b = append(d.b, make([]byte, n-len(d.b))...)
		}
		copy(d.b[off:], img)
	})
}

func (d *disk) load(t *testing.T) *bitfield.File {
	size, err := bitfield.ParseHeader(d.b)
	if err != nil {
		t.Fatal(err)
	}
	f := bitfield.NewFile(size)
	for p := 0; bitfield.HeaderSize+p*size < len(d.b); p++ {
		f.Load(uint64(p), d.b[bitfield.HeaderSize+p*size:min(len(d.b), bitfield.HeaderSize+(p+1)*size)])
	}
	f.Loaded(func(p uint64) []byte {
		at := bitfield.HeaderSize + int(p)*size
		return d.b[min(len(d.b), at+3072):min(len(d.b), at+size)]
	})
	return f
}

// setNode sets a node and the parents that it completes, as an append does.
type treeBits struct{ *bitfield.File }

func (b treeBits) Get(i uint64) bool         { return b.Tree.Get(i) }
func (b treeBits) Set(i uint64, v bool) bool { return b.SetTree(i, v) }

func diff(a, b []byte) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d bytes, want %d", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			return fmt.Sprintf("byte %d (page %d + %d) is %02x, want %02x", i, (i-32)/3584, (i-32)%3584, a[i], b[i])
		}
	}
	return ""
}

// TestImages makes the files that hypercore 6 made.
func TestImages(t *testing.T) {
	for _, v := range vectors(t).Images {
		t.Run(v.Name, func(t *testing.T) {
			f, d := bitfield.NewFile(v.PageSize), newDisk(v.PageSize)
			var n uint64
			for _, a := range v.Append {
				for range a[1] {
					f.SetData(n, n+1, true)
					merkle.SetNode(treeBits{f}, 2*n)
					n++
				}
				d.write(f)
			}
			for _, c := range v.Clear {
				f.SetData(c[0], c[1], false)
				d.write(f)
			}
			want := v.File.bytes(t)
			if v.PageSize == bitfield.OldPageSize && len(want) > 2*v.PageSize {
				// Hypercore 6.22 leaves index bytes of the first page that reach
				// into the second one too small: harmless.
				atLeast(t, d.b[32+3072:32+3328], want[32+3072:32+3328])
				copy(d.b[32+3072:32+3328], want[32+3072:])
				atLeast(t, d.b[32+3328+3072:], want[32+3328+3072:])
				copy(d.b[32+3328+3072:], want[32+3328+3072:])
			}
			if s := diff(d.b, want); s != "" {
				t.Error(s)
			}
			g := d.load(t)
			if got := merkle.Blocks(&g.Tree, g.Tree.Len()); got != v.LengthOnOpen {
				t.Errorf("length %d on open, want %d", got, v.LengthOnOpen)
			}
			if g.Dirty() {
				t.Error("a file as it should be is written anew")
			}
		})
	}
}

// atLeast checks that no pair of bits of got says less than want's.
func atLeast(t *testing.T, got, want []byte) {
	for i := range got {
		if got[i]&want[i] != want[i] {
			t.Errorf("index byte %d is %02x, hypercore 6 has %02x", i, got[i], want[i])
		}
	}
}

// TestClones makes the files of sparse clones, and reads those of hypercore 6.
func TestClones(t *testing.T) {
	for _, v := range vectors(t).Clones {
		t.Run(v.Name, func(t *testing.T) {
			want := v.BitfieldFile.bytes(t)
			g := (&disk{b: want}).load(t)
			if got := set(&g.Data); fmt.Sprint(got) != fmt.Sprint(v.DataBits) {
				t.Errorf("blocks %v, want %v", got, v.DataBits)
			}
			if got := set(&g.Tree); fmt.Sprint(got) != fmt.Sprint(v.TreeBits) {
				t.Errorf("nodes %v, want %v", got, v.TreeBits)
			}
			f, d := bitfield.NewFile(bitfield.PageSize), newDisk(bitfield.PageSize)
			for _, n := range v.TreeBits {
				f.SetTree(n, true)
			}
			for _, i := range v.DataBits {
				f.SetData(i, i+1, true)
			}
			d.write(f)
			if s := diff(d.b, want); s != "" {
				t.Error(s)
			}
		})
	}
}

func set(b *bitfield.Bits) (l []uint64) {
	for i, ok := b.NextSet(0); ok; i, ok = b.NextSet(i + 1) {
		l = append(l, i)
	}
	return l
}

// TestIncremental compares pages written as bits change with a file made in one
// go, for both page sizes.
func TestIncremental(t *testing.T) {
	for _, size := range []int{bitfield.PageSize, bitfield.OldPageSize} {
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 7))
			f, d := bitfield.NewFile(size), newDisk(size)
			var top uint64
			for range 60 {
				start := r.Uint64N(70000)
				end := start + 1 + r.Uint64N([]uint64{1, 40, 9000, 30000}[r.IntN(4)])
				f.SetData(start, end, r.IntN(3) > 0)
				n := r.Uint64N(140000)
				f.SetTree(n, r.IntN(4) > 0)
				top = max(top, f.Pages())
				if r.IntN(3) == 0 {
					d.write(f)
				}
			}
			d.write(f)
			whole, e := bitfield.NewFile(size), newDisk(size)
			whole.Load(top-1, nil)
			whole.Data, whole.Tree = *f.Data.Clone(), *f.Tree.Clone()
			whole.Loaded(nil)
			whole.TouchAll()
			e.write(whole)
			d.b = append(d.b, make([]byte, max(0, len(e.b)-len(d.b)))...)
			if s := diff(d.b, e.b); s != "" {
				t.Fatalf("page size %d seed %d: %s", size, seed, s)
			}
			if d.load(t).Dirty() {
				t.Fatalf("page size %d seed %d: the index is not what Loaded expects", size, seed)
			}
		}
	}
}

// TestStale: an index that hides missing blocks is found and written anew.
func TestStale(t *testing.T) {
	f, d := bitfield.NewFile(bitfield.PageSize), newDisk(bitfield.PageSize)
	f.SetData(0, 20000, true)
	d.write(f)
	before := append([]byte(nil), d.b...)
	f.SetData(9000, 9001, false)
	d.write(f)
	// A crash tore the page: the new data bits with the old index.
	page := bitfield.HeaderSize + bitfield.PageSize
	copy(d.b[page+3072:page+3584], before[page+3072:])
	g := d.load(t)
	if !g.Dirty() {
		t.Fatal("not noticed")
	}
	e := &disk{b: d.b}
	e.write(g)
	if g := e.load(t); g.Dirty() || g.Data.Get(9000) {
		t.Fatal("not repaired")
	}
}

func TestParseHeader(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 31), make([]byte, 32), func() []byte { h := bitfield.Header(3000); return h[:] }()} {
		if _, err := bitfield.ParseHeader(b); err == nil {
			t.Errorf("% x was accepted", b)
		}
	}
}

func BenchmarkTakeOnePage(b *testing.B) {
	f := bitfield.NewFile(bitfield.PageSize)
	f.SetData(0, 8192*10, true)
	buf := make([]byte, 0, bitfield.PageSize)
	take := func(p uint64) { buf = f.Page(p, buf[:0]) }
	f.Take(take)
	b.ReportAllocs()
	n := uint64(8192 * 10)
	for b.Loop() {
		f.SetData(n, n+1, true)
		n++
		f.Take(take)
	}
}

func BenchmarkLoad10M(b *testing.B) {
	f, d := bitfield.NewFile(bitfield.PageSize), newDisk(bitfield.PageSize)
	f.SetData(0, 10_000_000, true)
	f.Tree.SetRange(0, 20_000_000, true)
	d.write(f)
	b.ReportAllocs()
	for b.Loop() {
		g := bitfield.NewFile(bitfield.PageSize)
		for p := 0; bitfield.HeaderSize+p*3584 < len(d.b); p++ {
			g.Load(uint64(p), d.b[bitfield.HeaderSize+p*3584:])
		}
		g.Loaded(func(p uint64) []byte { return d.b[32+int(p)*3584+3072 : 32+int(p+1)*3584] })
	}
}

// TestTouchAllOfALongFile: of a file in which little was ever written little is written anew.
func TestTouchAllOfALongFile(t *testing.T) {
	const pages = 100_000
	f := bitfield.NewFile(bitfield.PageSize)
	page := make([]byte, bitfield.PageSize)
	f.Load(7, page) // zeros that were written: who knows what the disk has there
	page[3] = 1
	f.Load(70_000, page)
	f.Load(pages-1, nil)
	f.Loaded(func(uint64) []byte { return nil })
	f.SetData(90_000*bitfield.PageBlocks, 90_000*bitfield.PageBlocks+1, true)
	f.Take(func(uint64) {})
	f.TouchAll()
	took := map[uint64]bool{}
	f.Take(func(p uint64) { took[p] = true })
	for _, p := range []uint64{7, 70_000, 90_000, pages - 1} {
		if !took[p] {
			t.Errorf("page %d is not written", p)
		}
	}
	if len(took) > 100 { // those and what is above them in the index
		t.Errorf("%d pages are written", len(took))
	}
}
