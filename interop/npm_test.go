package interop

import (
	"encoding/base64"
	"encoding/json"
	"testing"
)

// npmFeed is a feed that the driver has open.
type npmFeed struct {
	d       *driver
	version string
	dir     string
	npmInfo
}

type npmInfo struct {
	Feed         int    `json:"feed"`
	Key          string `json:"key"`
	DiscoveryKey string `json:"discoveryKey"`
	SecretKey    string `json:"secretKey"`
	Length       uint64 `json:"length"`
	ByteLength   uint64 `json:"byteLength"`
	Downloaded   uint64 `json:"downloaded"`
	Writable     bool   `json:"writable"`
	Live         bool   `json:"live"`
}

// npmOpts is how a directory is opened by npm hypercore.
type npmOpts struct {
	Key, SecretKey string
	Opts           obj // hypercore's own: sparse, live, overwrite, createIfMissing
}

func (d *driver) tryOpen(version, dir string, o npmOpts) (*npmFeed, error) {
	args := obj{"dir": dir, "v": version}
	if o.Key != "" {
		args["key"] = o.Key
	}
	if o.SecretKey != "" {
		args["secretKey"] = o.SecretKey
	}
	if o.Opts != nil {
		args["opts"] = o.Opts
	}
	f := &npmFeed{d: d, version: version, dir: dir}
	return f, d.try("open", args, &f.npmInfo)
}

func (d *driver) open(t testing.TB, version, dir string, o npmOpts) *npmFeed {
	t.Helper()
	f, err := d.tryOpen(version, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *npmFeed) args(more obj) obj {
	a := obj{"feed": f.Feed}
	for k, v := range more {
		a[k] = v
	}
	return a
}

func (f *npmFeed) call(t testing.TB, cmd string, more obj, result any) {
	t.Helper()
	f.d.call(t, cmd, f.args(more), result)
}

// start begins a command that waits; the returned function waits for its answer.
func (f *npmFeed) start(cmd string, more obj) func() (json.RawMessage, error) {
	return f.d.start(cmd, f.args(more))
}

func (f *npmFeed) close(t testing.TB) { t.Helper(); f.call(t, "close", nil, nil) }

// refresh reads length and the like again.
func (f *npmFeed) refresh(t testing.TB) *npmFeed {
	t.Helper()
	feed := f.Feed
	f.call(t, "info", nil, &f.npmInfo)
	f.Feed = feed
	return f
}

// append appends one batch.
func (f *npmFeed) append(t testing.TB, blocks ...[]byte) {
	t.Helper()
	list := make([]string, len(blocks))
	for i, b := range blocks {
		list[i] = base64.StdEncoding.EncodeToString(b)
	}
	f.call(t, "append", obj{"blocks": list}, nil)
}

// generate appends count blocks of the seed's content, batch of them at a time.
func (f *npmFeed) generate(t testing.TB, c content, count uint64, batch int) {
	t.Helper()
	f.call(t, "generate", obj{"seed": c.seed, "count": count, "min": c.min, "max": c.max, "batch": batch}, nil)
}

// audit is hypercore's own: every block must hash to its node.
func (f *npmFeed) audit(t testing.TB) {
	t.Helper()
	var r struct{ Valid, Invalid uint64 }
	f.call(t, "audit", nil, &r)
	if r.Invalid != 0 {
		t.Fatalf("npm %s audit: %d valid, %d invalid", f.version, r.Valid, r.Invalid)
	}
}

// verify checks the signature that covers the last block.
func (f *npmFeed) verify(t testing.TB) {
	t.Helper()
	f.call(t, "verify", nil, nil)
}

func (f *npmFeed) digest(t testing.TB) digest {
	t.Helper()
	var d digest
	f.call(t, "digest", nil, &d)
	return d
}

func (f *npmFeed) has(t testing.TB) [][2]uint64 {
	t.Helper()
	var r struct{ Ranges [][2]uint64 }
	f.call(t, "has", nil, &r)
	return r.Ranges
}

// until waits until the feed has the length and that many blocks.
func (f *npmFeed) until(t testing.TB, length, blocks uint64) {
	t.Helper()
	f.call(t, "until", obj{"length": length, "blocks": blocks}, nil)
}
