package lanes

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/blake2b"
)

// widths are those that can be tested on this machine.
func widths() []int {
	switch Width {
	case 8:
		return []int{8, 4, 1}
	case 4:
		return []int{4, 1}
	}
	return []int{1}
}

// check hashes messages of the given lengths and compares with one call of
// blake2b.Sum256 for each.
func check(t *testing.T, width int, seed byte, sizes ...int) {
	t.Helper()
	r := rand.NewChaCha8([32]byte{seed})
	jobs := make([]Job, len(sizes))
	sums := make([][32]byte, len(sizes))
	want := make([][32]byte, len(sizes))
	for i, n := range sizes {
		j := &jobs[i]
		r.Read(j.Head[:])
		j.A, j.Sum = make([]byte, n), &sums[i]
		r.Read(j.A)
		want[i] = blake2b.Sum256(append(j.Head[:], j.A...))
		if n <= blockSize-HeadSize {
			k := int(r.Uint64() % uint64(n+1))
			j.A, j.B = j.A[:k:k], j.A[k:]
		}
	}
	run(jobs, width)
	for i := range sums {
		if sums[i] != want[i] {
			t.Fatalf("width %d: message %d of %d bytes in %v: %x, want %x", width, i, sizes[i], sizes, sums[i], want[i])
		}
	}
}

func TestSizes(t *testing.T) {
	for _, w := range widths() {
		for n := range 700 {
			check(t, w, byte(n), n, n, n, n, n, n, n, n, n)
			check(t, w, byte(n), 700, n, 0, 119, 2*n, 120, n/2, n)
		}
		for _, n := range []int{64 << 10, 1 << 20, 1<<20 - 9, 1<<20 + 1} {
			check(t, w, 1, n, 10, n-1, 3*128-9, n)
		}
	}
}

func TestCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, w := range widths() {
		for n := range 50 {
			sizes := make([]int, n)
			for i := range sizes {
				sizes[i] = r.IntN(1 << (1 + r.IntN(12)))
			}
			check(t, w, byte(n), sizes...)
		}
	}
}

func TestSum(t *testing.T) {
	head := [HeadSize]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}
	for n := range 1400 {
		m := bytes.Repeat([]byte{byte(n)}, n)
		if got, want := Sum(&head, m[:n/3], m[n/3:]), blake2b.Sum256(append(head[:], m...)); got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

// What is hashed belongs to the caller: nothing is written, nothing kept.
func TestLeavesNothing(t *testing.T) {
	a := bytes.Repeat([]byte{7}, 1000)
	var sum [32]byte
	run([]Job{{A: a, Sum: &sum}, {A: a[:10], Sum: &sum}}, Width)
	if !bytes.Equal(a, bytes.Repeat([]byte{7}, 1000)) {
		t.Error("the message was written to")
	}
	s := states.Get().(*state)
	for l := range s.lane {
		if s.lane[l].job != nil || s.p[l] != nil {
			t.Errorf("lane %d is kept", l)
		}
	}
}

func TestSecondPart(t *testing.T) {
	if Width == 1 {
		t.Skip("no vector unit: any parts will do")
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var sum [32]byte
	Run([]Job{{A: make([]byte, 120), B: []byte{1}, Sum: &sum}, {Sum: &sum}})
}

func FuzzRun(f *testing.F) {
	f.Add(byte(0), []byte{0, 0, 1, 0, 2, 0, 255, 255, 119, 0, 120, 0})
	f.Fuzz(func(t *testing.T, seed byte, in []byte) {
		var sizes []int
		for ; len(in) >= 2 && len(sizes) < 40; in = in[2:] {
			sizes = append(sizes, int(in[0])|int(in[1]&15)<<8)
		}
		if len(sizes) == 0 {
			return
		}
		for _, w := range widths() {
			check(t, w, seed, sizes...)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	for _, size := range []int{64, 512, 64 << 10} {
		for _, w := range widths() {
			b.Run(fmt.Sprintf("%d/width=%d", size, w), func(b *testing.B) {
				jobs := make([]Job, 64)
				var sum [32]byte
				for i := range jobs {
					jobs[i] = Job{A: make([]byte, size), Sum: &sum}
				}
				b.SetBytes(int64(len(jobs) * size))
				b.ReportAllocs()
				for b.Loop() {
					run(jobs, w)
				}
			})
		}
	}
}
