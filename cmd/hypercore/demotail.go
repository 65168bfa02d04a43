package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

type liveResult struct {
	Lines   int     `json:"lines"`
	InOrder bool    `json:"inOrder"` // all of them, at every reader
	P50     float64 `json:"p50ms"`   // from Append at the writer to the block at a reader
	P99     float64 `json:"p99ms"`
	Max     float64 `json:"maxms"`
}

// liveWait bounds the wait for the last line: something is broken when a line
// takes longer on loopback.
const liveWait = 30 * time.Second

// tail appends lines at the writer and measures when they are at the readers.
func (d *demo) tail(ctx context.Context) error {
	n := d.o.live
	d.res.Live = liveResult{Lines: n, InOrder: true}
	if n <= 0 {
		return nil
	}
	d.a.say("4 live      the writer appends %d lines, the readers follow", n)
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(n)*demoInterval+liveWait, fmt.Errorf("%w: lines did not arrive", errTimeout))
	defer cancel()
	type arrival struct {
		line int
		text string
		at   time.Time
		err  error
	}
	first := d.feed.Len()
	arrivals := make([]chan arrival, len(d.readers))
	for i, r := range d.readers {
		c := make(chan arrival, n)
		arrivals[i] = c
		go func() {
			for b, err := range r.f.Blocks(ctx, feed.ReadOptions{Start: first, Live: true}) {
				c <- arrival{int(b.Index - first), string(b.Data), time.Now(), err}
				if err != nil || b.Index == first+uint64(n)-1 {
					return
				}
			}
		}()
	}
	sent := make([]time.Time, n)
	texts := make([]string, n)
	for i := range n {
		texts[i] = fmt.Sprintf("line %d, written at %s\n", i+1, time.Now().Format("15:04:05.000"))
		sent[i] = time.Now()
		if _, err := d.feed.Append(ctx, []byte(texts[i])); err != nil {
			return err
		}
		select {
		case <-time.After(demoInterval):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var took []time.Duration
	for ri, c := range arrivals {
		for i := range n {
			var ar arrival
			select {
			case ar = <-c:
			case <-ctx.Done():
				return fmt.Errorf("%s has %d of %d lines: %w", d.readers[ri].name, i, n, context.Cause(ctx))
			}
			if ar.err != nil {
				return fmt.Errorf("%s: %w", d.readers[ri].name, ar.err)
			}
			if ar.line != i || ar.text != texts[i] {
				d.res.Live.InOrder = false
				continue
			}
			took = append(took, ar.at.Sub(sent[i]))
		}
	}
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	ms := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
	}
	l := &d.res.Live
	l.P50, l.P99, l.Max = ms(0.5), ms(0.99), ms(1)
	d.a.say("            a line is at the readers %.1f ms after it was appended (median; 99%%: %.1f ms)", l.P50, l.P99)
	return nil
}

// report verifies what the readers hold and prints the closing table.
func (d *demo) report() error {
	ok := d.res.Live.InOrder
	want := d.res.Input.SHA256
	// The lines of the live part came after the input: only the blocks of the input are compared.
	for _, r := range d.readers {
		sum, n, err := hashBlocks(r.f, d.res.Blocks)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		r.res.SHA256, r.res.Bytes, r.res.Same = sum, n, sum == want
		ok = ok && r.res.Same
	}
	if d.a.json {
		if err := d.a.emit(d.res); err != nil {
			return err
		}
	} else if err := d.table(); err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("a reader holds something else than the writer wrote: %w", errInvalid)
	}
	return nil
}

func (d *demo) table() error {
	rows := [][]string{{"", "bytes", "blocks", "time", "rate", "found by"}}
	row := func(name string, bytes uint64, seconds float64, found string) {
		took := time.Duration(seconds * float64(time.Second))
		t, rate := durationText(took), rateOf(bytes, took)+"/s"
		if seconds == 0 {
			t, rate = "", ""
		}
		rows = append(rows, []string{name, bytesText(bytes), countText(d.res.Blocks), t, rate, found})
	}
	in := d.res.Input
	row("input", in.Bytes, 0, "")
	row("writer", d.res.Writer.Bytes, d.res.Writer.Seconds, "")
	sums := [][]string{{"", "sha256"}, {"input", in.SHA256}}
	for _, r := range d.readers {
		row(r.name, r.res.Bytes, r.res.Seconds, r.res.Found)
		sum := r.res.SHA256
		if !r.res.Same {
			sum += "  DIFFERENT"
		}
		sums = append(sums, []string{r.name, sum})
	}
	for _, l := range append(append(append([]string{""}, columns(rows)...), ""), columns(sums)...) {
		if err := d.a.print("%s", l); err != nil {
			return err
		}
	}
	l := d.res.Live
	order := "all in order at both readers"
	if !l.InOrder {
		order = "NOT in order"
	}
	verdict := "every byte is the same"
	for _, r := range d.readers {
		if !r.res.Same {
			verdict = "SOMETHING DIFFERS"
		}
	}
	return d.a.print("\nlive: %d lines, %s; median %.1f ms, 99%% %.1f ms, slowest %.1f ms\n%s: %s", l.Lines, order, l.P50, l.P99, l.Max, in.Name, verdict)
}

// columns aligns rows: the first and the last column to the left, others to the right.
func columns(rows [][]string) []string {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len(c))
		}
	}
	var out []string
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			switch {
			case i == len(r)-1:
				b.WriteString(c)
			case i == 0:
				fmt.Fprintf(&b, "%-*s  ", width[i], c)
			default:
				fmt.Fprintf(&b, "%*s  ", width[i], c)
			}
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}

// demoInput is what the demo shares.
type demoInput struct {
	input
	cut   control.Cut
	close func()
}

func (d *demo) input() (demoInput, error) {
	cut := control.Cut{Size: int(d.o.chunk)}
	if d.o.lines {
		cut = control.Cut{By: control.CutLines}
	}
	if d.o.file == "" {
		return demoInput{input{"generated text", &textReader{left: demoText, rng: rand.New(rand.NewPCG(1, 1))}, demoText}, cut, func() {}}, nil
	}
	ins, closeAll, err := d.a.openInputs([]string{d.o.file})
	if err != nil {
		return demoInput{}, err
	}
	d.a.sayTyped()
	in := ins[0]
	if f, ok := in.r.(*os.File); ok {
		in.name = f.Name()
	}
	return demoInput{in, cut, closeAll}, nil
}

// textReader yields lines of words, the same every time.
type textReader struct {
	left int
	n    int
	rng  *rand.Rand
	buf  []byte // the memory of line
	line []byte // what is left of the line
}

var words = strings.Fields("a feed is an append only log that one writer signs and any number of readers check block by block against a tree of hashes")

func (t *textReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(t.line) == 0 {
			if t.left == 0 {
				break
			}
			t.next()
		}
		c := copy(p[n:], t.line)
		t.line = t.line[c:]
		n += c
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// next makes a line.
func (t *textReader) next() {
	t.n++
	t.buf = fmt.Appendf(t.buf[:0], "%d", t.n)
	for range 6 + t.rng.IntN(10) {
		t.buf = append(append(t.buf, ' '), words[t.rng.IntN(len(words))]...)
	}
	t.buf = append(t.buf, '\n')
	t.line = t.buf[:min(len(t.buf), t.left)]
	t.left -= len(t.line)
}
