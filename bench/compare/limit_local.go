package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/blake2b"
)

func init() { register("limit-local", func() system { return &limitLocal{} }) }

// limitLocal is the least that local work takes; option work says which:
//
//	hash    BLAKE2b-256 of each block on all cores, and pwrite of each batch beside it
//	sign    for each block one hash, one pwrite and one Ed25519 signature, on one core
//	sync    for each block one pwrite in place and one fdatasync, one caller
//	pread   one pread of a random block, whose place is known, from a file of all blocks
//	commit  what a commit of one block waits for: it is written behind the last one, with
//	        the head of an entry of the journal, and synced; its latency
type limitLocal struct{ noTransfer }

func (l *limitLocal) Work(_ context.Context, r *request) (figures, error) {
	switch r.Options["work"] {
	case "commit":
		return groupCommit(r)
	case "pread":
		return preadEach(r)
	}
	all, err := os.ReadFile(r.Data.File)
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(r.Dir, "data"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if r.Options["work"] == "sync" {
		if _, err := out.Write(all); err != nil {
			return nil, err
		}
		if err := out.Sync(); err != nil {
			return nil, err
		}
	}
	work := map[string]func(*os.File, []byte, *request) (int, error){
		"hash": hashAndWrite, "sign": signEach, "sync": syncEach,
	}[r.Options["work"]]
	if work == nil {
		return nil, fmt.Errorf("unknown work %q", r.Options["work"])
	}
	f := figures{}
	start := time.Now()
	done, err := work(out, all, r)
	if err != nil {
		return nil, err
	}
	f["seconds"] = time.Since(start).Seconds()
	f["blocks"], f["bytes"] = float64(done), float64(done*r.Data.Block)
	if err := datasync(out); err != nil {
		return nil, err
	}
	f["synced"] = time.Since(start).Seconds()
	return f, nil
}

// preadEach reads random blocks of the first of the feeds among which the data set
// is divided, as hypercore's pick does.
func preadEach(r *request) (figures, error) {
	if err := warm(r.Data.File); err != nil {
		return nil, err
	}
	f, err := os.Open(r.Data.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	each := r.Data.Count / r.option("feeds", 1)
	src := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, r.Data.Block)
	start, end := time.Now(), r.deadline()
	for n := 1; ; n++ {
		if _, err := f.ReadAt(b, int64(src.IntN(each))*int64(len(b))); err != nil {
			return nil, err
		}
		if n%256 == 0 && time.Now().After(end) {
			return figures{"seconds": time.Since(start).Seconds(), "blocks": float64(n), "bytes": float64(n * len(b))}, nil
		}
	}
}

func hashAndWrite(out *os.File, all []byte, r *request) (int, error) {
	size, batch := r.Data.Block, r.Batch*r.Data.Block
	cores := runtime.GOMAXPROCS(0)
	// Hashing is handed out in pieces small enough to keep all cores busy to the end.
	grain := max(1, min(r.Batch/cores, 256*kib/size)) * size
	toHash, toWrite := make(chan []byte, 4*cores), make(chan int, 4)
	hashed := make([]byte, cores)
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	for i := range cores {
		workers.Go(func() {
			for p := range toHash {
				for o := 0; o < len(p); o += size {
					h := blake2b.Sum256(p[o : o+size])
					hashed[i] ^= h[0]
				}
			}
		})
	}
	workers.Go(func() {
		for off := range toWrite {
			if _, err := out.WriteAt(all[off:min(off+batch, len(all))], int64(off)); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
	})
	end := r.deadline()
	off := 0
	for off < len(all) && time.Now().Before(end) {
		toWrite <- off
		for next := min(off+batch, len(all)); off < next; off = min(off+grain, next) {
			toHash <- all[off:min(off+grain, next)]
		}
	}
	close(toHash)
	close(toWrite)
	workers.Wait()
	if e := failed.Load(); e != nil {
		return 0, *e
	}
	return off / size, nil
}

func signEach(out *os.File, all []byte, r *request) (int, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return 0, err
	}
	return each(all, r, 64, func(b []byte, off int64) error {
		h := blake2b.Sum256(b)
		ed25519.Sign(key, h[:])
		_, err := out.WriteAt(b, off)
		return err
	})
}

func syncEach(out *os.File, all []byte, r *request) (int, error) {
	return each(all, r, 1, func(b []byte, off int64) error {
		if _, err := out.WriteAt(b, off); err != nil {
			return err
		}
		return datasync(out)
	})
}

// each calls do for each block until the time is over, looking at the clock
// every so many blocks.
func each(all []byte, r *request, every int, do func(b []byte, off int64) error) (int, error) {
	end := r.deadline()
	n := 0
	for off := 0; off < len(all); off += r.Data.Block {
		if err := do(all[off:off+r.Data.Block], int64(off)); err != nil {
			return n, err
		}
		if n++; n%every == 0 && time.Now().After(end) {
			break
		}
	}
	return n, nil
}

// groupCommit measures what a commit of one block waits for: the disk.
func groupCommit(r *request) (figures, error) {
	f, err := os.Create(filepath.Join(r.Dir, "entries"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entry := make([]byte, r.Data.Block+108) // with a head, a signature and a size
	var took []float64
	for n := range min(r.Data.Count, 500) {
		start := time.Now()
		if _, err := f.WriteAt(entry, int64(n*len(entry))); err != nil {
			return nil, err
		}
		if err := datasync(f); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start).Microseconds()))
		time.Sleep(time.Second / time.Duration(r.Rate))
	}
	return figures{"p50": percentile(took, 0.50), "p99": percentile(took, 0.99)}, nil
}

func (l *limitLocal) Check(_ context.Context, r *request) (string, error) {
	return fileSum(filepath.Join(r.Dir, "data"), int64(r.Data.Block)*int64(r.Data.Count))
}
