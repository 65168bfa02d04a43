package control_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/go-hypercore/hypercore/node/control"
)

// TestRemoteAppendEndsEarly: whatever ends an append through a node, what it had
// appended is told, and the half of a block is not appended.
func TestRemoteAppendEndsEarly(t *testing.T) {
	stopped := errors.New("stopped")
	for _, c := range []struct {
		name string
		end  func(stop context.CancelCauseFunc, in *io.PipeWriter, s *control.Server)
		is   error
	}{
		{"the context ends", func(stop context.CancelCauseFunc, _ *io.PipeWriter, _ *control.Server) { stop(stopped) }, stopped},
		{"the input fails", func(_ context.CancelCauseFunc, in *io.PipeWriter, _ *control.Server) { in.CloseWithError(stopped) }, stopped},
		{"the node ends", func(_ context.CancelCauseFunc, _ *io.PipeWriter, s *control.Server) { s.Close() }, control.ErrNodeEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, f, r, s := serve(t)
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			pr, pw := io.Pipe()
			defer pw.Close()
			go func() {
				io.WriteString(pw, "one\ntwo\nthr")
				f.Update(ctx, 2)
				c.end(stop, pw, s)
			}()
			a, err := r.Append(ctx, pr, control.Cut{By: control.CutLines})
			want := control.Appended{Blocks: 2, Bytes: 8, Length: 2}
			if a.Unanswered && c.is == control.ErrNodeEnded { // a slow machine: its grace was over
				want = control.Appended{Uncertain: 2, Unanswered: true}
			}
			if !errors.Is(err, c.is) || a != want {
				t.Errorf("%+v, %v; want %+v, %v", a, err, want, c.is)
			}
			if n := f.Len(); n != 2 {
				t.Errorf("%d blocks, want 2", n)
			}
		})
	}
}
