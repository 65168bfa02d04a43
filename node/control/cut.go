package control

import (
	"fmt"
	"net/url"
	"strconv"
)

// How Append cuts its input into blocks.
const (
	CutChunk = "chunk" // blocks of Size bytes; the last one may be shorter
	CutLines = "lines" // a block per line, its newline included
	CutWhole = "whole" // all of the input is one block
)

// Sizes of blocks.
const (
	// DefaultChunk is the size of blocks when nothing is said.
	DefaultChunk = 64 << 10
	// MaxBlock is the largest block that peers can be sent: a frame has at
	// most 8 MiB, and the proof and headers of a block need a part of it.
	MaxBlock = 8<<20 - 64<<10
)

// Cut says how bytes become blocks. The zero Cut is CutChunk with DefaultChunk.
type Cut struct {
	By   string // CutChunk, CutLines, CutWhole; empty is CutChunk
	Size int    // of a chunk in bytes; 0 is DefaultChunk
}

// check returns c with its defaults, or what is wrong with it.
func (c Cut) check() (Cut, error) {
	if c.By == "" {
		c.By = CutChunk
	}
	if c.Size == 0 {
		c.Size = DefaultChunk
	}
	switch {
	case c.By != CutChunk && c.By != CutLines && c.By != CutWhole:
		return c, fmt.Errorf("%w: cut by %q", ErrBadRequest, c.By)
	case c.Size < 1 || c.Size > MaxBlock:
		return c, fmt.Errorf("%w: blocks of %d bytes; from 1 to %d are possible", ErrBadRequest, c.Size, MaxBlock)
	}
	return c, nil
}

func (c Cut) query() url.Values {
	return url.Values{"cut": {c.By}, "size": {strconv.Itoa(c.Size)}}
}

func parseCut(q url.Values) (Cut, error) {
	c := Cut{By: q.Get("cut")}
	if s := q.Get("size"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return c, fmt.Errorf("%w: size %q", ErrBadRequest, s)
		}
		c.Size = n
	}
	return c.check()
}
