package storetest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// counter is a program under test: records of 700 bytes in "data", their number
// in "count". Correct, it syncs the directory first, the data before it counts
// it, and the count before it says so.
type counter struct {
	s           store.Storage
	data, count store.File
	n           uint64
}

const record = 700

func openCounter(s store.Storage) (*counter, error) {
	c := &counter{s: s}
	var err error
	if c.data, err = s.Open("data", true); err != nil {
		return nil, err
	}
	if c.count, err = s.Open("count", true); err != nil {
		return nil, err
	}
	var b [8]byte
	if n, _ := c.count.ReadAt(b[:], 0); n == 8 {
		c.n = binary.BigEndian.Uint64(b[:])
	}
	return c, nil
}

func (c *counter) record(i uint64) []byte {
	p := make([]byte, record)
	for k := range p {
		p[k] = byte(i + 1)
	}
	return p
}

// append adds a record; skip leaves out the sync with that number.
func (c *counter) append(skip int) error {
	if _, err := c.data.WriteAt(c.record(c.n), int64(c.n)*record); err != nil {
		return err
	}
	if skip != 1 {
		if err := c.data.Sync(); err != nil {
			return err
		}
	}
	c.n++
	if _, err := c.count.WriteAt(binary.BigEndian.AppendUint64(nil, c.n), 0); err != nil {
		return err
	}
	if skip == 2 {
		return nil
	}
	return c.count.Sync()
}

// check reopens an image and compares it with what was acknowledged.
func check(m *store.MemoryStorage, acked uint64) error {
	c, err := openCounter(m)
	if err != nil {
		return err
	}
	if c.n < acked {
		return fmt.Errorf("%d records, %d were acknowledged", c.n, acked)
	}
	p := make([]byte, record)
	for i := range c.n {
		c.data.ReadAt(p, int64(i)*record)
		if string(p) != string(c.record(i)) {
			return fmt.Errorf("record %d is damaged", i)
		}
	}
	return nil
}

// explore runs the counter, cuts the power everywhere and returns the first state
// that breaks a promise.
func explore(t *testing.T, skip, records, perOp int) (states int, bad error) {
	t.Helper()
	rec := storetest.NewCrash(nil)
	c, err := openCounter(rec)
	if err != nil {
		t.Fatal(err)
	}
	if skip != 3 {
		c.s.Sync()
	}
	acked := []uint64{}
	for range records {
		if err := c.append(skip); err != nil {
			t.Fatal(err)
		}
		for len(acked) <= rec.Len() {
			acked = append(acked, c.n-1)
		}
		acked[rec.Len()] = c.n
	}
	for s := range rec.States(storetest.Explore{PerOp: perOp, Promise: func(at int) uint64 { return acked[at] }}) {
		states++
		again := rec.Image(s.At, s.Policy, s.Seed)
		if err := check(s.Storage, acked[s.At]); err != nil && bad == nil {
			bad = fmt.Errorf("%v: %w\n%s", s, err, rec.Log(s.At-6, s.At))
			if check(again, acked[s.At]) == nil {
				t.Fatalf("%v is not reproducible", s)
			}
		}
	}
	return states, bad
}

func TestCrash(t *testing.T) {
	states, bad := explore(t, 0, 20, 100)
	t.Logf("%d states", states)
	if bad != nil {
		t.Error(bad)
	}
	if states < 100 {
		t.Errorf("only %d states", states)
	}
	for skip := 1; skip <= 3; skip++ {
		if _, bad := explore(t, skip, 5, 100); bad == nil {
			t.Errorf("nobody noticed that sync %d is missing", skip)
		} else {
			t.Log(bad)
		}
	}
}

// TestCrashPolicies pins down what each policy leaves.
func TestCrashPolicies(t *testing.T) {
	start := store.Memory()
	start.WriteFile("a", []byte("old"))
	c := storetest.NewCrash(start)
	a, _ := c.Open("a", true)  // exists: no operation
	a.WriteAt([]byte("A"), 0)  // 1
	a.Sync()                   // 2
	b, _ := c.Open("b", true)  // 3
	b.WriteAt([]byte("bb"), 0) // 4
	b.Sync()                   // 5
	a.WriteAt([]byte("B"), 1)  // 6
	a.WriteAt([]byte("CD"), 2) // 7
	a.Truncate(3)              // 8
	c.Sync()                   // 9
	a.Sync()                   // 10
	const missing = "missing"
	for _, x := range []struct {
		at     int
		policy storetest.Policy
		seed   uint64
		a, b   string
	}{
		{0, storetest.Drop, 0, "old", missing},
		{0, storetest.Keep, 0, "old", missing},
		{1, storetest.Drop, 0, "old", missing},
		{1, storetest.Keep, 0, "Ald", missing},
		{2, storetest.Drop, 0, "Ald", missing},
		{4, storetest.Drop, 0, "Ald", missing},
		{4, storetest.Prefix, 1, "Ald", ""},
		{4, storetest.Mask, 0b10, "Ald", missing},
		{5, storetest.Drop, 0, "Ald", missing},
		{5, storetest.Keep, 0, "Ald", "bb"},
		{8, storetest.Keep, 0, "ABC", "bb"},
		{8, storetest.Mask, 0b0101, "AldCD"[:2] + "CD", "bb"},
		{8, storetest.Mask, 0b0011, "ABd", "bb"},
		{9, storetest.Drop, 0, "Ald", "bb"},
		{10, storetest.Drop, 0, "ABC", "bb"},
	} {
		m := c.Image(x.at, x.policy, x.seed)
		for name, want := range map[string]string{"a": x.a, "b": x.b} {
			got, err := m.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				got = []byte(missing)
			}
			if string(got) != want {
				t.Errorf("after %d, %v %b: %s = %q, want %q", x.at, x.policy, x.seed, name, got, want)
			}
		}
	}
	if got, _ := start.ReadFile("a"); string(got) != "old" {
		t.Errorf("the start was changed: %q", got)
	}
	// Every subset of three undecided operations of a, and the state of b.
	seen := map[string]bool{}
	for s := range c.States(storetest.Explore{From: 8, To: 8}) {
		p, _ := s.Storage.ReadFile("a")
		q, err := s.Storage.ReadFile("b")
		seen[fmt.Sprintf("%q %q %v", p, q, err != nil)] = true
		if s.At != 8 {
			t.Errorf("%v", s)
		}
	}
	if len(seen) < 12 {
		t.Errorf("%d states: %v", len(seen), seen)
	}
}

// TestCrashTears writes over three sectors and expects torn ones.
func TestCrashTears(t *testing.T) {
	start := store.Memory()
	start.WriteFile("a", make([]byte, 1000))
	c := storetest.NewCrash(start)
	a, _ := c.Open("a", false)
	p := make([]byte, 1400)
	for i := range p {
		p[i] = 1
	}
	a.WriteAt(p, 100) // sectors 100..512..1024..1500
	type shape struct{ s0, s1, s2, size int }
	seen := map[shape]bool{}
	for seed := range uint64(300) {
		b, _ := c.Image(1, storetest.Torn, seed).ReadFile("a")
		s := shape{s0: int(b[100]), s1: int(b[512]), size: len(b)}
		if len(b) > 1024 {
			s.s2 = int(b[1024])
		}
		for i, x := range b {
			want := 0
			switch {
			case i >= 1024:
				want = s.s2
			case i >= 512:
				want = s.s1
			case i >= 100:
				want = s.s0
			}
			if int(x) != want {
				t.Fatalf("seed %d: byte %d is torn within its sector", seed, i)
			}
		}
		seen[s] = true
	}
	if len(seen) != 12 { // 4 with the old size, 8 with the new
		t.Errorf("%d shapes: %v", len(seen), seen)
	}
}

func BenchmarkCrashStates(b *testing.B) {
	rec := storetest.NewCrash(nil)
	c, err := openCounter(rec)
	if err != nil {
		b.Fatal(err)
	}
	for range 20 {
		if err := c.append(1); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for b.Loop() {
		for range rec.States(storetest.Explore{PerOp: 200}) {
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "states/s")
}
