package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// maxWrong is how many invalid blocks a Report names.
const maxWrong = 20

// maxProblems is how many problems a Report names.
const maxProblems = 20

// verifyEvery is how often progress of Verify is told.
const verifyEvery = 200 * time.Millisecond

// Verify reads and checks everything that is here. See Feed.
func (l *Local) Verify(ctx context.Context, progress func(done, total uint64)) (Report, error) {
	var r Report
	f := l.of.Feed
	sum := sha256.New()
	last := time.Now()
	o := feed.AuditOptions{Block: func(i uint64, data []byte, valid bool) {
		sum.Write(data)
		r.Bytes += uint64(len(data))
		if !valid && len(r.Wrong) < maxWrong {
			r.Wrong = append(r.Wrong, i)
		}
	}}
	if progress != nil {
		o.Progress = func(next, length uint64) {
			if time.Since(last) >= verifyEvery {
				last = time.Now()
				progress(next, length)
			}
		}
	}
	a, err := f.Audit(ctx, o)
	if err != nil {
		return r, err
	}
	r.Length, r.Present, r.Missing, r.Invalid, r.Signature = a.Length, a.Present, a.Missing, a.Invalid, string(a.Signature)
	for _, p := range a.Problems[:min(len(a.Problems), maxProblems)] {
		r.Problems = append(r.Problems, p.String())
	}
	if more := a.Count - uint64(len(r.Problems)); more > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("and %d more", more))
	}
	for _, p := range a.Notes[:min(len(a.Notes), maxProblems)] {
		r.Notes = append(r.Notes, p.String())
	}
	r.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return r, nil
}
