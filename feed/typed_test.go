package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

func TestWriter(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		o      feed.WriterOptions
		writes []string
		want   []string
	}{
		{"writes", feed.WriterOptions{}, []string{"a", "", "bcd"}, []string{"a", "", "bcd"}},
		{"lines", feed.WriterOptions{Cut: feed.CutLines}, []string{"one\ntw", "o\n\nthree"}, []string{"one\n", "two\n", "\n", "three"}},
		{"size", feed.WriterOptions{Cut: feed.CutSize, Size: 3}, []string{"abcdefgh", "ij"}, []string{"abc", "def", "ghi", "j"}},
		{"nothing", feed.WriterOptions{Cut: feed.CutSize}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t, store.Memory(), feed.Options{})
			w, err := f.NewWriter(ctx, c.o)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.writes {
				if n, err := io.WriteString(w, s); err != nil || n != len(s) {
					t.Fatal(n, err)
				}
			}
			for range 2 {
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.Write([]byte("x")); !errors.Is(err, feed.ErrClosed) {
				t.Errorf("Write after Close: %v", err)
			}
			var got []string
			for b, err := range f.Blocks(ctx, feed.ReadOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(b.Data))
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	f := open(t, store.Memory(), feed.Options{})
	w, err := f.NewWriter(ctx, feed.WriterOptions{Cut: feed.CutSize, Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("0123456789"), 1234567)
	if n, err := io.Copy(w, bytes.NewReader(data)); err != nil || n != int64(len(data)) {
		t.Fatal(n, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := f.NewReader(ctx)
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, o := range []feed.WriterOptions{{Size: -1}, {Size: feed.MaxBlock + 1}, {Cut: 9}} {
		if _, err := f.NewWriter(ctx, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// TestWriterReadFromCut: a source that was cut off is no source that has ended.
func TestWriterReadFromCut(t *testing.T) {
	f := open(t, store.Memory(), feed.Options{})
	w, err := f.NewWriter(t.Context(), feed.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cut := fmt.Errorf("the camera is gone: %w", io.EOF)
	n, err := w.ReadFrom(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(cut)))
	if n != 4 || err != cut {
		t.Errorf("ReadFrom = %d, %v, want 4, %v", n, err, cut)
	}
}

// stubborn is a Writer that takes so many bytes and then none, without an error.
type stubborn int

func (w *stubborn) Write(p []byte) (int, error) {
	n := min(len(p), int(*w))
	*w -= stubborn(n)
	return n, nil
}

// TestReaderWriteToShort: a writer that does not take everything ends it, as io.Copy.
func TestReaderWriteToShort(t *testing.T) {
	f := open(t, store.Memory(), feed.Options{})
	appendN(t, f, 2)
	r := f.NewReader(t.Context())
	defer r.Close()
	w := stubborn(3)
	if n, err := r.WriteTo(&w); n != 3 || err != io.ErrShortWrite {
		t.Errorf("WriteTo = %d, %v", n, err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != string(block(0))[3:]+string(block(1)) {
		t.Errorf("what is left: %q, %v", b, err)
	}
}

func TestBlocksOptions(t *testing.T) {
	ctx := context.Background()
	f := open2(t, 80, 10)
	for _, c := range []struct {
		o    feed.ReadOptions
		want string
	}{
		{feed.ReadOptions{}, "0123456789"},
		{feed.ReadOptions{Start: 3, End: 6}, "345"},
		{feed.ReadOptions{Start: 8, Snapshot: true}, "89"},
		{feed.ReadOptions{Tail: true}, ""},
		{feed.ReadOptions{Start: 12}, ""},
		{feed.ReadOptions{Reverse: true}, "9876543210"},
		{feed.ReadOptions{Reverse: true, Start: 2, End: 5}, "432"},
		{feed.ReadOptions{End: 3, Live: true}, "012"},
	} {
		var got strings.Builder
		for b, err := range f.Blocks(ctx, c.o) {
			if err != nil || !bytes.Equal(b.Data, block(b.Index)) {
				t.Fatalf("%+v: block %d: %q, %v", c.o, b.Index, b.Data, err)
			}
			got.WriteByte('0' + byte(b.Index))
		}
		if got.String() != c.want {
			t.Errorf("%+v: %s, want %s", c.o, got.String(), c.want)
		}
	}
	var failed error
	for _, err := range f.Blocks(ctx, feed.ReadOptions{Start: 5, End: 3}) {
		failed = err
	}
	if !errors.Is(failed, feed.ErrOutOfBounds) {
		t.Errorf("from 5 to 3: %v", failed)
	}
	// While it reads, more comes; a snapshot does not see it.
	for _, o := range []feed.ReadOptions{{}, {Snapshot: true}} {
		n, start := 0, f.Len()
		for _, err := range f.Blocks(ctx, o) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				appendN(t, f, 3)
			}
		}
		if want := int(start) + 3; !o.Snapshot && n != want || o.Snapshot && n != want-3 {
			t.Errorf("%+v: %d blocks", o, n)
		}
	}
	// Live goes on until the context ends.
	live, cancel := context.WithCancel(ctx)
	n := f.Len()
	go func() {
		for i := n; i < n+5; i++ {
			f.Append(ctx, block(i))
		}
	}()
	for b, err := range f.Blocks(live, feed.ReadOptions{Start: n, Live: true}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		if b.Index >= n+4 {
			cancel()
		}
	}
	cancel()
}

func TestTyped(t *testing.T) {
	ctx := context.Background()
	type entry struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	f := open(t, store.Memory(), feed.Options{})
	typed := feed.NewTyped(f, feed.JSON[entry]())
	if _, err := typed.Append(ctx, entry{"<a&b>\u2028", 1}, entry{"ü", 2}); err != nil {
		t.Fatal(err)
	}
	// As JSON.stringify writes it, with a newline.
	if b, err := f.Local(0); err != nil || string(b) != "{\"name\":\"<a&b>\u2028\",\"n\":1}\n" {
		t.Errorf("%q, %v", b, err)
	}
	if v, err := typed.Get(ctx, 1); err != nil || v != (entry{"ü", 2}) {
		t.Errorf("%+v, %v", v, err)
	}
	n := 0
	for v, err := range typed.Values(ctx, feed.ReadOptions{}) {
		if err != nil || v.Value.N != n+1 {
			t.Errorf("%+v, %v", v, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d values", n)
	}
	if _, err := f.Append(ctx, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := typed.Local(2); err == nil {
		t.Error("half an object was decoded")
	}
}
