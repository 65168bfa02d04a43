package feed

import (
	"context"
	"fmt"
	"iter"
)

// Typed is a feed of values instead of bytes. Everything that does not depend on
// the values is done with Feed itself.
type Typed[T any] struct {
	feed  *Feed
	codec Codec[T]
}

// NewTyped returns a view of f through a codec. Closing is left to f; several
// views of one feed may be used at once.
func NewTyped[T any](f *Feed, c Codec[T]) *Typed[T] { return &Typed[T]{feed: f, codec: c} }

// Feed returns the feed below.
func (t *Typed[T]) Feed() *Feed { return t.feed }

// Append encodes the values and appends them as one batch, a block each. It
// returns the index of the first. If one cannot be encoded nothing is appended.
func (t *Typed[T]) Append(ctx context.Context, values ...T) (first uint64, err error) {
	blocks := make([][]byte, len(values))
	for i, v := range values {
		if blocks[i], err = t.codec.Encode(nil, v); err != nil {
			return 0, fmt.Errorf("append value %d of %d: %w", i+1, len(values), err)
		}
	}
	return t.feed.Append(ctx, blocks...)
}

// Get is [Feed.Get], decoded.
func (t *Typed[T]) Get(ctx context.Context, index uint64) (v T, err error) {
	b, err := t.feed.Get(ctx, index)
	if err != nil {
		return v, err
	}
	return t.decode(index, b)
}

// Local is [Feed.Local], decoded.
func (t *Typed[T]) Local(index uint64) (v T, err error) {
	b, err := t.feed.Local(index)
	if err != nil {
		return v, err
	}
	return t.decode(index, b)
}

// GetRange is [Feed.GetRange], decoded.
func (t *Typed[T]) GetRange(ctx context.Context, start, end uint64) ([]T, error) {
	blocks, err := t.feed.GetRange(ctx, start, end)
	if err != nil {
		return nil, err
	}
	values := make([]T, len(blocks))
	for i, b := range blocks {
		if values[i], err = t.decode(start+uint64(i), b); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Head is [Feed.Head], decoded.
func (t *Typed[T]) Head(ctx context.Context) (v T, err error) {
	b, err := t.feed.Head(ctx)
	if err != nil {
		return v, err
	}
	return t.codec.Decode(b)
}

// Value is a decoded block.
type Value[T any] struct {
	Index uint64
	Value T
}

// Values is [Feed.Blocks], decoded. A block that cannot be decoded is an error
// in its place; the iteration may go on behind it.
func (t *Typed[T]) Values(ctx context.Context, o ReadOptions) iter.Seq2[Value[T], error] {
	return func(yield func(Value[T], error) bool) {
		for b, err := range t.feed.Blocks(ctx, o) {
			var v T
			if err == nil {
				v, err = t.decode(b.Index, b.Data)
			}
			if !yield(Value[T]{Index: b.Index, Value: v}, err) {
				return
			}
		}
	}
}

func (t *Typed[T]) decode(index uint64, b []byte) (T, error) {
	v, err := t.codec.Decode(b)
	if err != nil {
		err = fmt.Errorf("block %d: %w", index, err)
	}
	return v, err
}
