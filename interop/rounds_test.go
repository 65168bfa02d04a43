package interop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// round is one random script on one directory, played by npm and this in turns,
// with a sparse clone in a second directory that is opened by either as well.
type round struct {
	d           *driver
	rng         *rand.Rand
	dir, clone  string
	versions    []string // who may open the directories
	fetches     bool     // feeds signed by 9 are not downloaded by 6 and 7
	blocks      [][]byte // the model: nil is a cleared block
	fetched     map[uint64]bool
	key         string
	lastVersion string // who signed last, "" for this
	log         []string
}

// TestRounds plays random scripts of appends, clears, restarts and sparse
// downloads. Each ends in equal content and clean audits on both sides.
func TestRounds(t *testing.T) {
	d := js(t)
	for seed := range uint64(*roundCount) {
		d.revive(t)
		r := &round{d: d, rng: rand.New(rand.NewPCG(seed, 6)), dir: t.TempDir(), clone: t.TempDir(), fetched: map[uint64]bool{}}
		if seed%4 == 3 {
			r.versions = []string{"9", "6", "7"}
		} else {
			r.versions, r.fetches = []string{"6", "7", "6.22"}, true
		}
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					for _, line := range r.log {
						t.Log(line)
					}
				}
			}()
			t.Cleanup(d.reset)
			within(t, d, limit())
			for range 3 + r.rng.IntN(8) {
				r.step(t)
			}
			r.finish(t)
		})
		if !ok {
			for _, v := range versions {
				record("Random rounds", fmt.Sprintf("%d random scripts", *roundCount), v, "**fails**")
			}
			return
		}
	}
	for _, v := range versions {
		record("Random rounds", fmt.Sprintf("%d random scripts", *roundCount), v, "pass")
	}
}

func (r *round) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *round) version() string { return r.versions[r.rng.IntN(len(r.versions))] }

// step opens the directory on one side and does a few things there.
func (r *round) step(t *testing.T) {
	here := r.rng.IntN(2) == 0
	if r.fetches && len(r.blocks) > 0 && r.rng.IntN(4) == 0 {
		r.fetch(t, here)
		return
	}
	if here {
		f := openGo(t, r.dir, feed.Options{})
		r.note("this opens %d blocks", f.Len())
		r.look(t, f.Key().String(), f.Len())
		for range 1 + r.rng.IntN(4) {
			if start, end, ok := r.clears(); ok {
				if err := f.Clear(ctx(t), start, end); err != nil {
					t.Fatal(err)
				}
			} else {
				appendGo(t, f, r.batch()...)
				r.lastVersion = ""
			}
		}
		r.compareGo(t, f)
		closeGo(t, f)
		return
	}
	v := r.version()
	n := r.d.open(t, v, r.dir, npmOpts{})
	r.note("npm %s opens %d blocks", v, n.Length)
	r.look(t, n.Key, n.Length)
	for range 1 + r.rng.IntN(4) {
		if start, end, ok := r.clears(); ok {
			n.call(t, "clear", obj{"start": start, "end": end}, nil)
		} else {
			n.append(t, r.batch()...)
			r.lastVersion = v
		}
	}
	r.compareNpm(t, n)
	n.close(t)
}

// look checks what an open found.
func (r *round) look(t *testing.T, key string, length uint64) {
	t.Helper()
	if r.key == "" {
		r.key = key
	}
	if key != r.key || length != uint64(len(r.blocks)) {
		t.Fatalf("opened key %s with %d blocks, expected %s with %d", key, length, r.key, len(r.blocks))
	}
}

// clears decides on a clear and does it in the model.
func (r *round) clears() (start, end uint64, ok bool) {
	n := uint64(len(r.blocks))
	if n == 0 || r.rng.IntN(4) != 0 {
		return 0, 0, false
	}
	start = r.rng.Uint64N(n)
	end = start + 1 + r.rng.Uint64N(min(n-start, 20))
	for i := start; i < end; i++ {
		r.blocks[i] = nil
	}
	r.note("  clear %d to %d", start, end)
	return start, end, true
}

// batch makes blocks and appends them to the model.
func (r *round) batch() [][]byte {
	sizes := []int{0, 1, 100, 5000}
	list := make([][]byte, 1+r.rng.IntN(9))
	for i := range list {
		list[i] = make([]byte, r.rng.IntN(1+sizes[r.rng.IntN(len(sizes))]))
		for k := range list[i] {
			list[i][k] = byte(r.rng.Uint32())
		}
	}
	r.note("  append %d blocks", len(list))
	r.blocks = append(r.blocks, list...)
	return list
}

func (r *round) compareGo(t *testing.T, f *feed.Feed) {
	t.Helper()
	if f.Len() != uint64(len(r.blocks)) {
		t.Fatalf("%d blocks, expected %d", f.Len(), len(r.blocks))
	}
	for i, want := range r.blocks {
		if f.Has(uint64(i)) != (want != nil) {
			t.Fatalf("block %d: here %v", i, f.Has(uint64(i)))
		}
		if want == nil {
			continue
		}
		if got, err := f.Local(uint64(i)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("block %d: %d bytes, %v; expected %d", i, len(got), err, len(want))
		}
	}
}

func (r *round) compareNpm(t *testing.T, n *npmFeed) {
	t.Helper()
	model := modelDigest(r.blocks)
	if got := n.digest(t); got != model {
		t.Fatalf("npm holds %+v, expected %+v", got, model)
	}
}

// fetch opens the directory on one side and its sparse clone on the other, and
// downloads a few blocks over TCP.
func (r *round) fetch(t *testing.T, goHasClone bool) {
	v := r.version()
	var want []uint64
	for range 1 + r.rng.IntN(6) {
		i := r.rng.Uint64N(uint64(len(r.blocks)))
		// npm makes no data file for a first block without bytes, and then cannot read it.
		if b := r.blocks[i]; b != nil && (len(b) > 0 || goHasClone) {
			want = append(want, i)
		}
	}
	r.note("npm %s and this: %v fetched by this: %v", v, want, goHasClone)
	goDir, npmDir := r.dir, r.clone
	if goHasClone {
		goDir, npmDir = r.clone, r.dir
	}
	n := r.d.open(t, v, npmDir, npmOpts{Key: r.key, Opts: obj{"sparse": true}})
	f, err := feed.Open(ctx(t), store.Dir(goDir), feed.Options{Key: mustKey(t, r.key), Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	e := engineOf(t, f)
	l := connect(t, r.d, []*npmFeed{n}, e, wire{npmDials: r.rng.IntN(2) == 0, here: protocol.StreamOptions{Feeds: keysOf(f)}})
	for _, i := range want {
		var got []byte
		if goHasClone {
			c, cancel := context.WithTimeout(context.Background(), patience)
			got, err = f.Get(c, i)
			cancel()
			if err != nil {
				t.Fatalf("block %d: %v", i, err)
			}
		} else {
			var a struct{ Value []byte }
			n.call(t, "get", obj{"index": i}, &a)
			got = a.Value
		}
		if !bytes.Equal(got, r.blocks[i]) {
			t.Fatalf("block %d differs", i)
		}
		r.fetched[i] = true
	}
	l.drop(t)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	n.close(t)
	closeGo(t, f)
}

// finish audits both directories on both sides.
func (r *round) finish(t *testing.T) {
	if len(r.blocks) == 0 {
		return
	}
	v := r.version()
	r.note("finish with npm %s", v)
	for _, dir := range []string{r.dir, r.clone} {
		if dir == r.clone && len(r.fetched) == 0 {
			continue
		}
		n := r.d.open(t, v, dir, npmOpts{Opts: obj{"sparse": true}})
		n.audit(t)
		sum := n.digest(t)
		if v == "9" || r.lastVersion != "9" {
			n.verify(t)
		}
		n.close(t)
		f := openGo(t, dir, feed.Options{Sparse: true})
		auditGo(t, f)
		sameDigest(t, "here and npm", digestGo(t, f), sum)
		if dir == r.dir {
			r.compareGo(t, f)
		} else {
			for i := range r.fetched {
				if !f.Has(i) {
					t.Fatalf("the clone lacks block %d", i)
				}
			}
		}
		closeGo(t, f)
	}
}
