package protocol_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// useless is a native remote that announces the last block of f and gives nothing: it
// refuses what it is asked, or says nothing.
func useless(t *testing.T, b *side, id string, f *feed.Feed, refuses bool) *raw {
	x := dial(t, b, id, protocol.StreamOptions{})
	x.hello(f.Key())
	x.send(wire.AppendHave(nil, 0, wire.Have{Start: f.Len() - 1, Length: 1}))
	go func() {
		for {
			fr, err := x.r.Next()
			if err != nil {
				return
			}
			var m wire.Request
			if refuses && fr.Type == wire.TypeRequest && wire.ParseRequest(fr.Body, &m) == nil {
				x.send(wire.AppendNoData(nil, 0, wire.NoData{Index: m.Index, Length: 1, Hash: m.Hash, Bytes: m.Bytes, Reason: wire.ReasonNotHere}))
			}
		}
	}()
	go x.live()
	synctest.Wait()
	return x
}

// TestQuestionsGoOn: remotes that came first, announce something, and refuse to prove it or say
// nothing do not keep questions for a length, or for what is at an offset, from one that answers.
func TestQuestionsGoOn(t *testing.T) {
	for _, refuses := range []bool{true, false} {
		for _, n := range []int{1, 40} {
			t.Run(fmt.Sprintf("refuse %v/%d", refuses, n), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b := newSide(t, "a"), newSide(t, "b")
					f := a.create(300)
					g := b.clone(f.Key(), true)
					var xs []*raw
					for i := range n {
						xs = append(xs, useless(t, b, fmt.Sprint("useless", i), f, refuses))
					}
					l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
					synctest.Wait()

					// In turn each is waited for 50 ms at most, and looked at every 50 ms.
					limit := time.Second + time.Duration(n)*100*time.Millisecond
					asked := func(what string, fn func(context.Context) error) {
						c, cancel := context.WithTimeout(ctx, limit)
						defer cancel()
						if err := fn(c); err != nil {
							t.Errorf("%s: %v", what, err)
						}
					}
					asked("Update", func(c context.Context) error { return g.Update(c, 1) })
					for _, at := range []uint64{1000, 5000, 20000} {
						asked("Seek", func(c context.Context) error {
							i, rel, err := g.Seek(c, at)
							if wi, wr, _ := f.Seek(ctx, at); err == nil && (i != wi || rel != wr) {
								t.Errorf("byte %d is byte %d of block %d, not byte %d of %d", at, wr, wi, rel, i)
							}
							return err
						})
					}
					appendBlocks(t, f, 50)
					for _, x := range xs {
						x.send(wire.AppendHave(nil, 0, wire.Have{Start: 349, Length: 1}))
					}
					synctest.Wait()
					asked("Get", func(c context.Context) error { // of a block whose proof needs that of a length first
						_, err := g.Get(c, 340)
						return err
					})

					for _, x := range xs {
						x.s.Close()
						<-x.done
						x.conn.Close()
					}
					l.close()
					<-l.errA
					<-l.errB
				})
			})
		}
	}
}
