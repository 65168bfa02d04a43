package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// killRounds is the number of rounds for go test; the variable
// HYPERCORE_KILL_ROUNDS sets another one.
const killRounds = 10

// TestKill kills processes with SIGKILL at random moments, again and again on the
// same directories. In each round a writer's process is killed while it appends:
// one that seeds and gets blocks from other processes, or one that appends by
// itself. And one that clones is killed. Another clone follows all the time, on
// loopback, through a DHT. After each kill:
//
//   - hypercore verify finds nothing wrong with either directory;
//   - the writer has every block that an append with exit code 0 has added, and
//     every block that the follower has seen;
//   - the killed clone has no fewer blocks than after the kill before;
//   - the follower goes on: it found no fork, and in the end all have the same.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("real processes")
	}
	t.Parallel()
	rounds := killRounds
	if s := os.Getenv("HYPERCORE_KILL_ROUNDS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatalf("HYPERCORE_KILL_ROUNDS: %v", err)
		}
	}
	start := time.Now()
	k := newKilling(t)
	for i := range rounds {
		k.round(i)
	}
	k.finish()
	t.Logf("kill -9: %d rounds in %.0f s: %d writers and %d clones were killed, %d violations; the feed has %d blocks, %d of them acknowledged by %d appends, %d found complete after a kill",
		rounds, time.Since(start).Seconds(), k.writers, k.clones, k.bad, k.length, k.ackedBlocks, k.appends, k.found)
}

// killing is the processes and what they have promised.
type killing struct {
	world
	net []string // flags
	key string
	rng *rand.Rand

	follower *process
	cloneDir string // of the clone that is killed

	acked    uint64 // length that an append with exit code 0 has told
	length   uint64 // of the writer, after the last kill
	followed uint64 // length at the follower
	cloned   uint64 // blocks of the killed clone

	writers, clones, appends, bad int
	ackedBlocks, found            uint64
}

func newKilling(t *testing.T) *killing {
	k := &killing{world: world{t, t.TempDir()}, rng: rand.New(rand.NewPCG(9, 10))}
	boot := k.start("boot", nil, "bootstrap", "--network", "test", "--listen", "/ip4/127.0.0.1/tcp/0", "--json")
	addr := boot.listening().Addrs[0]
	k.net = []string{"--network", "test", "--listen", "/ip4/127.0.0.1/tcp/0", "--bootstrap", addr, "--json"}
	k.key = strings.TrimSpace(k.run("writer", nil, "create", "log"))
	k.follower = k.start("follower", nil, append([]string{"clone", k.key, "./copy", "--live"}, k.net...)...)
	k.follower.listening()
	return k
}

// someLines is what one append gets: lines that no other append has.
func someLines(round, n, lines int) io.Reader {
	var b bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&b, "round %d, append %d, line %d %s\n", round, n, i, strings.Repeat("x", i%900))
	}
	return &b
}

// endless is input for an append that is killed, some lines every millisecond.
type endless struct{ round, lines, n int }

func (e *endless) Read(p []byte) (int, error) {
	e.n++
	if e.n%e.lines == 0 {
		time.Sleep(time.Millisecond)
	}
	return copy(p, fmt.Sprintf("round %d, endless line %d %s\n", e.round, e.n, strings.Repeat("y", e.n%2000))), nil
}

// round is one round.
func (k *killing) round(i int) {
	if i%5 == 0 {
		k.cloneDir, k.cloned = fmt.Sprintf("./copy%d", i), 0
	}
	var wg sync.WaitGroup
	clone := k.start("cloner", nil, append([]string{"clone", k.key, k.cloneDir, "--live"}, k.net...)...)
	wait := k.moment(1200)
	wg.Go(func() {
		time.Sleep(wait)
		clone.kill()
	})
	if i%2 == 0 {
		k.killSeeder(i)
	} else {
		writer := k.start("writer", &endless{round: i, lines: []int{1, 4, 30}[k.rng.IntN(3)]}, "append", "log", "--lines", "--json")
		time.Sleep(k.moment(400))
		writer.kill()
	}
	wg.Wait()
	k.writers++
	k.clones++
	k.check(i)
}

// moment is when somebody dies.
func (k *killing) moment(ms int) time.Duration {
	return time.Duration(1+k.rng.IntN(ms*1000)) * time.Microsecond
}

// killSeeder kills a process that seeds, while others append through it. They
// are told what is on the disk.
func (k *killing) killSeeder(round int) {
	seed := k.start("writer", nil, append([]string{"seed", "log"}, k.net...)...)
	seed.event("feed")
	ctx, cancel := context.WithTimeout(context.Background(), k.moment(900))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { seed.cmd.Process.Kill() })
	defer stop()
	for n := 0; ctx.Err() == nil; n++ {
		c := k.command("writer", someLines(round, n, 1+k.rng.IntN(60)), "append", "log", "--lines", "--json")
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			if ctx.Err() == nil {
				k.t.Fatalf("append: %v\n%s", err, stderr.Bytes())
			}
			break
		}
		var r struct{ Blocks, Length uint64 }
		if err := json.Unmarshal(out, &r); err != nil {
			k.t.Fatalf("append: %v: %s", err, out)
		}
		k.acked = max(k.acked, r.Length)
		k.ackedBlocks += r.Blocks
		k.appends++
	}
	<-ctx.Done()
	seed.kill()
}

func (k *killing) fail(format string, args ...any) {
	k.t.Helper()
	k.bad++
	k.t.Fatalf(format, args...)
}

// check looks at what the kills of a round have left.
func (k *killing) check(round int) {
	k.t.Helper()
	select {
	case <-k.follower.done:
		k.fail("round %d: the follower has ended: %v\n%s", round, k.follower.err, k.follower.stderr.Bytes())
	default:
	}
	before := k.length
	w := k.verify("writer", "log")
	k.length = w.Length
	k.followed = k.info("follower", "./copy").Length
	if w.Length < k.acked || w.Length < k.followed || w.Length < before || w.Present != w.Length {
		k.fail("round %d: the writer has %d of %d blocks; it had %d, %d were acknowledged, the follower knows of %d", round, w.Present, w.Length, before, k.acked, k.followed)
	}
	k.found += w.Length - max(before, min(k.acked, w.Length))
	if _, err := os.Stat(filepath.Join(k.dir, "cloner", k.cloneDir, "key")); errors.Is(err, os.ErrNotExist) {
		return // killed before it had begun
	}
	c := k.verify("cloner", k.cloneDir)
	if c.Present < k.cloned || c.Length > w.Length {
		k.fail("round %d: the clone has %d blocks of %d, it had %d; the writer has %d", round, c.Present, c.Length, k.cloned, w.Length)
	}
	k.cloned = c.Present
}

// finish lets everybody get everything.
func (k *killing) finish() {
	k.t.Helper()
	seed := k.start("writer", nil, append([]string{"seed", "log"}, k.net...)...)
	seed.event("feed")
	k.run("writer", strings.NewReader("the end\n"), "append", "log", "--lines")
	k.run("cloner", nil, append([]string{"clone", k.key, k.cloneDir, "--timeout", "60s"}, k.net...)...)
	w := k.verify("writer", "log")
	// Each look is a verify of everything, which after many rounds takes a while.
	for end := time.Now().Add(5 * patience); ; time.Sleep(20 * time.Millisecond) {
		r := k.verify("follower", "./copy")
		if r.Present == w.Length && r.Length == w.Length {
			if r.SHA256 != w.SHA256 {
				k.fail("the follower has other blocks than the writer")
			}
			break
		}
		if time.Now().After(end) {
			k.fail("the follower has %d blocks of %d, the writer has %d: it waited %v\n%s", r.Present, r.Length, w.Length, 5*patience, k.follower.stderr.Bytes())
		}
	}
	if c := k.verify("cloner", k.cloneDir); c.SHA256 != w.SHA256 || c.Present != w.Length {
		k.fail("the clone has %d blocks of %d", c.Present, w.Length)
	}
	k.length = w.Length
}
