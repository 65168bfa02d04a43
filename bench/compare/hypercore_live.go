package main

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

// stamp is a block that begins with the time.
func stamp(size int) []byte {
	b := make([]byte, size)
	binary.LittleEndian.PutUint64(b, uint64(monotonic()))
	return b
}

// age is how long ago a block was stamped, in microseconds.
func age(b []byte) float64 {
	return float64(monotonic()-int64(binary.LittleEndian.Uint64(b))) / 1e3
}

func (h *hypercoreSide) LiveServe(ctx context.Context, r *request) (string, error) {
	return h.Serve(ctx, r)
}

func (h *hypercoreSide) LiveJoin(ctx context.Context, r *request) error {
	if err := errors.Join(h.join(ctx, r), h.share(ctx, false)); err != nil {
		return err
	}
	for len(h.node.Engine().Peers(h.feeds[0].DiscoveryKey())) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (h *hypercoreSide) LiveWrite(ctx context.Context, r *request) error {
	start := time.Now()
	for i := range r.Data.Count {
		r.pace(start, i)
		if _, err := h.feeds[0].Append(ctx, stamp(r.Data.Block)); err != nil {
			return err
		}
	}
	return nil
}

func (h *hypercoreSide) LiveRead(ctx context.Context, r *request) ([]float64, error) {
	late := make([]float64, r.Data.Count)
	for i := range late {
		b, err := h.feeds[0].Get(ctx, uint64(i))
		if err != nil {
			return nil, err
		}
		late[i] = age(b)
	}
	return late, nil
}
