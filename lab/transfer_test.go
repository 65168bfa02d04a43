//go:build linux

package lab

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

// A feed of the lab has blocks of blockSize.
const blockSize = 64 << 10

// content writes size bytes that nothing can compress, the same ones always.
func content(t testing.TB, path string, size int) {
	t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{6}).Read(data)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// seeding is a feed and the node that seeds it.
type seeding struct {
	*process
	key    feed.Key
	blocks uint64
	bytes  uint64
}

// seed makes a feed of size bytes and seeds it from s.
func (s *space) seed(name string, size int, net ...string) *seeding {
	w := s.w
	w.t.Helper()
	file := w.path(name + ".data")
	content(w.t, file, size)
	out, err := w.local(name, "create", "feed")
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := control.ParseKey(out)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.local(name, "append", "feed", file); err != nil {
		w.t.Fatal(err)
	}
	os.Remove(file)
	sd := &seeding{key: key, blocks: uint64((size + blockSize - 1) / blockSize), bytes: uint64(size)}
	sd.process = s.hypercore(name, append([]string{"seed", "feed"}, net...)...)
	return sd
}

// discoveryKey returns that of the feed, in hex.
func (sd *seeding) discoveryKey() string {
	dk := sd.key.Discovery()
	return hex.EncodeToString(dk[:])
}

// waitAnnounced waits until the feed is announced, and returns after what time.
func (sd *seeding) waitAnnounced() time.Duration {
	sd.s.w.t.Helper()
	sd.waitFor("an announcement", func() bool { return strings.Contains(sd.stderr.String(), "announced on the network") })
	return time.Since(sd.began)
}

// cloning is a clone at work and what was seen of it.
type cloning struct {
	*process
	key  feed.Key
	done chan struct{} // closed when the clone has ended and samples are complete

	mu      sync.Mutex
	samples []sample
}

// sample is a look at a clone.
type sample struct {
	at      time.Duration // since it was started
	blocks  uint64        // that are here
	twice   uint64        // blocks that came although they were here
	peers   int
	relayed bool // all of them
	addr    string
}

// sampleEvery is how often one looks.
const sampleEvery = 10 * time.Millisecond

// clone clones the feed into s.
func (s *space) clone(name string, sd *seeding, net ...string) *cloning {
	s.w.t.Helper()
	c := &cloning{key: sd.key, done: make(chan struct{})}
	c.process = s.hypercore(name, append([]string{"clone", sd.key.String()}, net...)...)
	go c.watch()
	s.w.t.Cleanup(func() { c.stop(); <-c.done })
	return c
}

func (c *cloning) watch() {
	defer close(c.done)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		info, peers, err := c.info(c.key)
		if err == nil {
			s := sample{at: time.Since(c.began), blocks: info.Downloaded, twice: info.Duplicates, peers: len(peers), relayed: len(peers) > 0}
			for _, p := range peers {
				s.relayed = s.relayed && p.Relayed
				s.addr = p.Addr
			}
			c.mu.Lock()
			if n := len(c.samples); n == 0 || !c.samples[n-1].same(s) {
				c.samples = append(c.samples, s)
			}
			c.mu.Unlock()
		}
		select {
		case <-c.ended:
			return
		case <-tick.C:
		}
	}
}

func (s sample) same(o sample) bool {
	s.at = o.at
	return s == o
}

// first returns the first sample for which f holds.
func (c *cloning) first(f func(sample) bool) (sample, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.samples {
		if f(s) {
			return s, true
		}
	}
	return sample{}, false
}

// last returns the newest sample.
func (c *cloning) last() sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.samples) == 0 {
		return sample{}
	}
	return c.samples[len(c.samples)-1]
}

// waitBlocks waits until n blocks are here.
func (c *cloning) waitBlocks(n uint64) sample {
	c.s.w.t.Helper()
	var s sample
	c.waitFor("blocks", func() (ok bool) {
		s, ok = c.first(func(s sample) bool { return s.blocks >= n })
		return ok
	})
	return s
}

// intact checks that the clone is whole, after its end.
func (c *cloning) intact(sd *seeding) {
	t := c.s.w.t
	t.Helper()
	out, err := c.s.w.local(c.name, "verify", sd.key.String(), "--json")
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Length, Present, Invalid, Bytes uint64 }
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r.Length != sd.blocks || r.Present != sd.blocks || r.Invalid != 0 || r.Bytes != sd.bytes {
		t.Errorf("clone has %+v; the feed %d blocks, %d bytes", r, sd.blocks, sd.bytes)
	}
}
