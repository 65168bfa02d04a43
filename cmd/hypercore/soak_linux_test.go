package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSoak leaves a bootstrap node, a writer and a follower running for as long as the
// variable HYPERCORE_SOAK says (20m, for example), while others come and go, each of
// them once and as somebody new: who clones the feed whole or in part, who follows it
// until he is interrupted or killed, who asks for a diagnosis, who appends. Then:
//
//   - every clone that ended by itself had what the feed had when it began;
//   - the follower has all of the feed, and verify finds nothing wrong anywhere;
//   - none of the three has grown with the visitors: not its memory, beside the first
//     third of the time, nor its files and threads, nor its goroutines.
func TestSoak(t *testing.T) {
	s := os.Getenv("HYPERCORE_SOAK")
	if s == "" {
		t.Skip("HYPERCORE_SOAK does not say for how long")
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("HYPERCORE_SOAK: %v", err)
	}
	k := newSoak(t)
	start := time.Now()
	for told := start; time.Since(start) < d; {
		k.visit()
		if time.Since(told) >= min(time.Minute, d/20) {
			told = time.Now()
			k.look(told.Sub(start))
		}
	}
	k.finish()
}

// soak is the processes that stay.
type soak struct {
	world
	net []string
	key string
	rng *rand.Rand

	names  []string
	stay   map[string]*process
	looks  map[string][]footprint
	visits int
	length uint64
}

// footprint is what a process has of the machine.
type footprint struct {
	anon           int // KiB of memory that is not of files
	files, threads int
}

// The most that may be left: growth of the memory in KiB, of files and threads, and
// goroutines that are of one kind. A visitor who announced the feed is tried again now
// and then while the DHT knows him, but of one feed no more than 256 are.
const (
	soakGrowth     = 16 << 10
	soakMore       = 24
	soakGoroutines = 60
	soakKeepers    = 256
)

func newSoak(t *testing.T) *soak {
	k := &soak{world: world{t, t.TempDir()}, rng: rand.New(rand.NewPCG(11, 12)), stay: map[string]*process{}, looks: map[string][]footprint{}}
	boot := k.start("boot", nil, "bootstrap", "--network", "test", "--listen", "/ip4/127.0.0.1/tcp/0", "--json")
	k.net = []string{"--network", "test", "--listen", "/ip4/127.0.0.1/tcp/0", "--bootstrap", boot.listening().Addrs[0], "--json"}
	k.key = strings.TrimSpace(k.run("writer", nil, "create", "log"))
	writer := k.start("writer", nil, append([]string{"seed", "log"}, k.net...)...)
	writer.event("announced")
	follower := k.start("follower", nil, append([]string{"clone", k.key, "./copy", "--live"}, k.net...)...)
	follower.listening()
	k.names = []string{"boot", "writer", "follower"}
	k.stay["boot"], k.stay["writer"], k.stay["follower"] = boot, writer, follower
	return k
}

// visit has something appended, and somebody come and go.
func (k *soak) visit() {
	k.visits++
	out := k.run("writer", someLines(k.visits, 0, 1+k.rng.IntN(40)), "append", "log", "--lines", "--json")
	var r struct{ Length uint64 }
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		k.t.Fatalf("append: %v: %s", err, out)
	}
	k.length = r.Length
	who := fmt.Sprintf("visitor%d", k.visits)
	defer os.RemoveAll(filepath.Join(k.dir, who))
	clone := append([]string{"clone", k.key, "./copy", "--timeout", "60s"}, k.net...)
	switch k.rng.IntN(5) {
	case 0:
		k.run(who, nil, clone...)
		if v := k.verify(who, "./copy"); v.Length < k.length || v.Missing > 0 {
			k.t.Fatalf("a clone has %d of %d blocks, the feed had %d", v.Present, v.Length, k.length)
		}
	case 1:
		from := k.rng.Uint64N(k.length)
		k.run(who, nil, append(clone, "--range", fmt.Sprintf("%d-%d", from, min(k.length, from+20)))...)
	case 2, 3:
		p := k.start(who, nil, append(clone, "--live")...)
		p.listening()
		time.Sleep(time.Duration(k.rng.IntN(600)) * time.Millisecond)
		p.cmd.Process.Signal([]os.Signal{syscall.SIGINT, syscall.SIGKILL}[k.rng.IntN(2)])
		<-p.done
	case 4:
		c := k.command(who, nil, append([]string{"doctor", k.key}, k.net...)...)
		c.Stdout, c.Stderr = io.Discard, io.Discard
		c.Run() // its exit code is the state of the network
	}
}

// look notes what the processes have.
func (k *soak) look(at time.Duration) {
	line := fmt.Sprintf("%v, %d visits, %d blocks:", at.Round(time.Second), k.visits, k.length)
	for _, name := range k.names {
		p := k.stay[name]
		select {
		case <-p.done:
			k.t.Fatalf("the %s has ended: %v\n%s", name, p.err, p.stderr.Bytes())
		default:
		}
		f := footprintOf(k.t, p.cmd.Process.Pid)
		k.looks[name] = append(k.looks[name], f)
		line += fmt.Sprintf(" %s %.1f MiB %d files %d threads;", name, float64(f.anon)/1024, f.files, f.threads)
	}
	k.t.Log(strings.TrimSuffix(line, ";"))
}

func footprintOf(t *testing.T, pid int) (f footprint) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		v := strings.Fields(line)
		switch v[0] {
		case "RssAnon:":
			f.anon, err = strconv.Atoi(v[1])
		case "Threads:":
			f.threads, err = strconv.Atoi(v[1])
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	open, err := os.ReadDir(dir + "fd")
	if err != nil {
		t.Fatal(err)
	}
	f.files = len(open)
	return f
}

// finish compares the end with the beginning.
func (k *soak) finish() {
	k.t.Helper()
	k.run("writer", strings.NewReader("the end\n"), "append", "log", "--lines")
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		r := k.info("follower", "./copy")
		if r.Length == k.length+1 && r.Downloaded == r.Length {
			break
		}
		if time.Now().After(end) {
			k.t.Fatalf("the follower has %d blocks of %d, the writer %d", r.Downloaded, r.Length, k.length+1)
		}
	}
	for _, name := range k.names {
		all := k.looks[name]
		if len(all) < 9 {
			k.t.Fatalf("%d looks are too few to compare", len(all))
		}
		third := len(all) / 3
		early, late := middle(all[third/2:third+1]), middle(all[len(all)-third:])
		k.t.Logf("%s: %.1f MiB early, %.1f late; files %d, %d; threads %d, %d", name, float64(early.anon)/1024, float64(late.anon)/1024, early.files, late.files, early.threads, late.threads)
		if late.anon > early.anon+soakGrowth || late.files > early.files+soakMore || late.threads > early.threads+soakMore {
			k.t.Errorf("the %s has grown with the visitors", name)
		}
	}
	for _, name := range slices.Backward(k.names) {
		k.goroutines(name)
	}
	k.verify("writer", "log")
	k.verify("follower", "./copy")
}

// middle is the median of each figure.
func middle(all []footprint) (m footprint) {
	of := func(figure func(footprint) int) int {
		var v []int
		for _, f := range all {
			v = append(v, figure(f))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return footprint{
		of(func(f footprint) int { return f.anon }),
		of(func(f footprint) int { return f.files }),
		of(func(f footprint) int { return f.threads }),
	}
}

// goroutines ends a process with the signal upon which the runtime prints them.
func (k *soak) goroutines(name string) {
	k.t.Helper()
	p := k.stay[name]
	p.cmd.Process.Signal(syscall.SIGQUIT)
	<-p.done
	kinds, all := map[string]int{}, 0
	for g := range strings.SplitSeq(p.stderr.String(), "\n\n") {
		if strings.HasPrefix(g, "goroutine ") {
			all++
			kinds[begun(g)]++
		}
	}
	if all == 0 {
		k.t.Errorf("the %s told no goroutines: %s", name, p.stderr.String())
	}
	line := fmt.Sprintf("%s: %d goroutines", name, all)
	for kind, n := range kinds {
		most := soakGoroutines
		if strings.HasSuffix(kind, "node.(*peers).keep.func1()") {
			line += fmt.Sprintf(", %d of them for visitors who may come back", n)
			most = soakKeepers
		}
		if n > most {
			k.t.Errorf("the %s has %d goroutines in %s", name, n, kind)
		}
	}
	k.t.Log(line)
}

// begun is the function with which a goroutine began.
func begun(trace string) (name string) {
	for line := range strings.Lines(trace) {
		switch {
		case strings.HasPrefix(line, "created by "):
			return name
		case line[0] != '\t' && !strings.HasPrefix(line, "sync.(*WaitGroup).Go.") && !strings.HasPrefix(line, "runtime.goexit"):
			name, _, _ = strings.Cut(line, "(0x")
			name = strings.TrimSuffix(strings.TrimSpace(name), "(...)")
		}
	}
	return name
}
