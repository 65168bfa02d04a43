package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/internal/bubble"
)

func cutString(t *testing.T, r io.Reader, c Cut) []string {
	t.Helper()
	c, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	if err := cutAll(t.Context(), r, c, func(bs [][]byte) error {
		for _, b := range bs {
			out = append(out, string(b))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		cut  Cut
		want []string
	}{
		{"", Cut{}, nil},
		{"", Cut{By: CutLines}, nil},
		{"", Cut{By: CutWhole}, []string{""}},
		{"abcdefg", Cut{Size: 3}, []string{"abc", "def", "g"}},
		{"abcdef", Cut{Size: 3}, []string{"abc", "def"}},
		{"a\n\nb", Cut{By: CutLines}, []string{"a\n", "\n", "b"}},
		{"a\nb\n", Cut{By: CutLines}, []string{"a\n", "b\n"}},
		{"a\nb\n", Cut{By: CutWhole}, []string{"a\nb\n"}},
	} {
		for name, r := range map[string]io.Reader{"one": strings.NewReader(c.in), "bytewise": iotest.OneByteReader(strings.NewReader(c.in)), "eof": iotest.DataErrReader(strings.NewReader(c.in))} {
			if got := cutString(t, r, c.cut); strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("%s %q by %+v: %q, want %q", name, c.in, c.cut, got, c.want)
			}
		}
	}
}

// Whatever the pieces that the input comes in, the blocks are the same.
func TestCutPieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	in := make([]byte, 5<<20)
	for i := range in {
		in[i] = byte("abc\n"[rng.IntN(4)])
	}
	for _, c := range []Cut{{Size: 1000}, {Size: 64 << 10}, {By: CutLines}, {By: CutWhole}} {
		want := cutString(t, bytes.NewReader(in), c)
		got := cutString(t, iotest.HalfReader(bytes.NewReader(in)), c)
		if len(want) != len(got) || strings.Join(got, "") != string(in) || strings.Join(want, "|") != strings.Join(got, "|") {
			t.Errorf("%+v: %d and %d blocks", c, len(want), len(got))
		}
	}
}

func TestCutErrors(t *testing.T) {
	boom := errors.New("boom")
	var n int
	err := cutAll(t.Context(), io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(boom)), Cut{By: CutLines}, func(bs [][]byte) error {
		n += len(bs)
		return nil
	})
	if err != boom || n != 1 {
		t.Errorf("failing input: %v after %d blocks; a block that is not whole must not be appended", err, n)
	}
	if err := cutAll(t.Context(), strings.NewReader("abc"), Cut{By: CutChunk, Size: 1}, func([][]byte) error { return boom }); err != boom {
		t.Errorf("failing append: %v", err)
	}
	long := io.MultiReader(strings.NewReader("x\n"), io.LimitReader(zeros{}, MaxBlock+1), strings.NewReader("\n"))
	if err := cutAll(t.Context(), long, Cut{By: CutLines}, func([][]byte) error { return nil }); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("long line: %v", err)
	}
	for _, c := range []Cut{{By: "words"}, {Size: -1}, {Size: MaxBlock + 1}} {
		if _, err := c.check(); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A line is appended when it is whole, not when the input ends; and waiting
// for input ends with the context.
func TestCutSlowInput(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		pr, pw := io.Pipe()
		defer pw.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		done := make(chan error)
		go func() {
			done <- cutAll(ctx, pr, Cut{By: CutLines}, func(bs [][]byte) error {
				for _, b := range bs {
					got = append(got, string(b))
				}
				return nil
			})
		}()
		for range 3 {
			pw.Write([]byte("line\nhal"))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if strings.Join(got, "") != "line\nhalline\nhalline\n" {
			t.Errorf("got %q", got)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		pr.Close()
	})
}
