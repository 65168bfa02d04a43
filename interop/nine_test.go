package interop

import (
	"fmt"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// TestWire9 replicates a feed that hypercore 9 signed: v6 peers refuse it, as
// those of npm do; ours take it.
func TestWire9(t *testing.T) {
	d := js(t)
	dir := t.TempDir()
	n := d.open(t, "9", dir, npmOpts{})
	n.generate(t, small, 20, 20)
	n.close(t)

	cases(t, overTCP, "a feed signed by 9.12.0 is refused by npm, as from npm", wireVersions, func(t *testing.T, v string) {
		const want = "Remote signature could not be verified"
		// From npm 6.26.0, which can open the directory, first.
		source := d.open(t, "6", copyDir(t, dir), npmOpts{})
		reader := d.open(t, v, t.TempDir(), npmOpts{Key: source.Key})
		if end := npmToNpm(t, d, source, reader, obj{"live": true}, obj{"live": true}, "").end(t); end.Error != want {
			t.Fatalf("npm to npm ended with %q", end.Error)
		}
		f := openGo(t, copyDir(t, dir), feed.Options{})
		reader = d.open(t, v, t.TempDir(), npmOpts{Key: source.Key})
		e := engineOf(t, f)
		l := connect(t, d, []*npmFeed{reader}, e, wire{here: protocol.StreamOptions{Feeds: keysOf(f)}})
		if there, _ := l.ended(t); there.Error != want {
			t.Fatalf("npm ended with %q", there.Error)
		}
	})

	for _, dialect := range []protocol.Dialect{protocol.Native, protocol.V6} {
		t.Run(fmt.Sprintf("between our own nodes, dialect %d", dialect), func(t *testing.T) {
			f := openGo(t, copyDir(t, dir), feed.Options{})
			g := openGo(t, t.TempDir(), feed.Options{Key: f.Key()})
			a, b := engineOf(t, f), engineOf(t, g)
			o := protocol.StreamOptions{Dialect: dialect, Feeds: keysOf(f)}
			oa, ob := o, o
			oa.LocalID, oa.RemoteID = []byte("a"), []byte("b")
			ob.LocalID, ob.RemoteID = []byte("b"), []byte("a")
			pipeGo(t, a, b, oa, ob)
			untilGo(t, g, 20, 20)
			auditGo(t, g)
			const name = "a feed signed by 9.12.0 replicates between our own nodes"
			record(overTCP, name, "9", "pass")
			others(overTCP, name, []string{"9"})
		})
	}

	cases(t, overTCP, "replicate() of 9.12.0 itself", []string{"9"}, func(t *testing.T, v string) {
		n := d.open(t, v, t.TempDir(), npmOpts{})
		n.generate(t, small, 3, 3)
		f := openGo(t, t.TempDir(), feed.Options{Key: mustKey(t, n.Key)})
		e := engineOf(t, f)
		l := connect(t, d, []*npmFeed{n}, e, wire{npmDials: true, npm: obj{"live": true, "initiator": true}, here: protocol.StreamOptions{Feeds: keysOf(f)}})
		there, here := l.ended(t)
		if here == nil && there.Error == "" {
			t.Fatal("ended without an error")
		}
		reason(t, overTCP, "replicate() of 9.12.0 itself", v, "another protocol (Noise); both sides end with an error")
	})
}
