package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// pieces is a reader that gives as much at a time as next says.
type pieces struct {
	data []byte
	next func() int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(len(p.data), p.next())])
	p.data = p.data[n:]
	return n, nil
}

// randomFrames is a stream of Data frames with random values and of frames to pass over.
func randomFrames(rnd *rand.Rand, frames, maxValue int) (stream []byte, values [][]byte) {
	for i := range frames {
		v := make([]byte, rnd.IntN(1+rnd.IntN(maxValue)))
		for j := range v {
			v[j] = byte(rnd.Uint32())
		}
		if rnd.IntN(4) == 0 {
			stream = wire.AppendKeepAlive(stream)
		}
		if rnd.IntN(4) == 0 {
			stream = append(stream, 1, byte(rnd.Uint32())) // a frame of one byte is ignored
		}
		stream = wire.AppendData(stream, uint64(i%wire.MaxChannels), wire.Data{Index: uint64(i), Value: v, HasValue: true})
		values = append(values, v)
	}
	return stream, values
}

// TestReaderCuts: however the stream comes, the frames are the same; some slabs are held by
// another goroutine, which looks at the frames later.
func TestReaderCuts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for round := range 12 {
		maxValue := []int{40, 3000, 70000, 1500000}[round%4]
		stream, values := randomFrames(rnd, 4000000/(maxValue+10000), maxValue)
		maxPiece := 1 + rnd.IntN(1<<(5+rnd.IntN(17)))
		key, nonce := &[32]byte{byte(round)}, &[24]byte{}
		encrypted := round%3 == 0
		if encrypted {
			wire.NewCipher(key, nonce).XOR(stream)
		}
		r := wire.NewReader(&pieces{stream, func() int { return 1 + rnd.IntN(maxPiece) }})
		if encrypted {
			r.SetCipher(wire.NewCipher(key, nonce))
		}
		var wg sync.WaitGroup
		for i := range values {
			f, err := r.Next()
			if err != nil || f.Channel != uint64(i%wire.MaxChannels) || f.Type != wire.TypeData {
				t.Fatalf("frame %d: channel %d, %v, %v", i, f.Channel, f.Type, err)
			}
			var m wire.Data
			if err := wire.ParseData(f.Body, &m); err != nil {
				t.Fatal(err)
			}
			if rnd.IntN(3) > 0 {
				if !bytes.Equal(m.Value, values[i]) {
					t.Fatalf("frame %d has another value", i)
				}
				continue
			}
			slab := r.Slab()
			slab.Retain()
			wg.Go(func() {
				defer slab.Release()
				runtime.Gosched()
				if !bytes.Equal(m.Value, values[i]) {
					t.Errorf("frame %d was overwritten", i)
				}
			})
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		if r.Received() != uint64(len(stream)) {
			t.Errorf("received %d of %d", r.Received(), len(stream))
		}
		r.Close()
		wg.Wait()
	}
}

// TestReaderCarried: what comes counts as carried where it belongs to a message that may be large, from
// its first bytes on, and is counted once.
func TestReaderCarried(t *testing.T) {
	data := wire.AppendData(nil, 3, wire.Data{Index: 1, Value: make([]byte, 5000), HasValue: true})
	have := wire.AppendHave(nil, 3, wire.Have{Length: 1 << 20, Bitfield: make([]byte, 3000), HasBitfield: true})
	ext := wire.AppendExtension(nil, 3, 0, make([]byte, 1000))
	for _, c := range []struct {
		name   string
		stream []byte
		want   int
	}{
		{"keep-alives", make([]byte, 9000), 0},
		{"a map", have, 0},
		{"a part of a map", have[:2000], 0},
		{"a block", data, len(data)},
		{"a part of a block", data[:4000], 4000},
		{"an extension, zeros, a part of a block", slices.Concat(ext, make([]byte, 100), data[:10]), len(ext) + 10},
	} {
		r := wire.NewReader(iotest.OneByteReader(bytes.NewReader(c.stream)))
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if n := r.Carried(); n != uint64(c.want) {
			t.Errorf("%s: %d bytes, want %d", c.name, n, c.want)
		}
		r.Close()
	}
}

// TestReaderLargest: the largest frame passes, one more byte does not, also if it never comes.
func TestReaderLargest(t *testing.T) {
	const overhead = 1 + 2 + 5 // header, index, tag and length of the value
	value := make([]byte, wire.MaxFrame-overhead)
	frame := wire.AppendData(nil, 0, wire.Data{Index: 1, Value: value, HasValue: true})
	if len(frame) != wire.MaxFrameLen {
		t.Fatalf("%d bytes", len(frame))
	}
	r := wire.NewReader(bytes.NewReader(append(frame, 2, 2, 8)))
	f, err := r.Next()
	if err != nil || len(f.Body) != wire.MaxFrame-1 {
		t.Fatalf("%d bytes, %v", len(f.Body), err)
	}
	if f, err = r.Next(); err != nil || f.Type != wire.TypeInfo {
		t.Fatalf("the next one: %v, %v", f, err)
	}
	for _, prefix := range []string{"81808004", "ffffff7f", "8080808000", "8080808001", "80808080"} {
		r := wire.NewReader(bytes.NewReader(unhex(t, prefix+"00")))
		for range 2 {
			var e *wire.Error
			if _, err := r.Next(); !errors.As(err, &e) || e.Err != wire.ErrFrameTooLarge || e.Type != wire.TypeNone {
				t.Errorf("%s: %v", prefix, err)
			}
			if !r.Buffered() {
				t.Errorf("%s: Next would wait", prefix)
			}
		}
	}
}

// TestReaderMemory: what the remote announces costs nothing before it comes.
func TestReaderMemory(t *testing.T) {
	for _, come := range []int{1, 5000, 50000, 300000} {
		stream := append(wire.AppendVarint(nil, wire.MaxFrame), make([]byte, come)...)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC() // empties the pools
		runtime.ReadMemStats(&before)
		_, err := wire.NewReader(bytes.NewReader(stream)).Next()
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(30000+8*come); err != io.ErrUnexpectedEOF || got > limit {
			t.Errorf("%d bytes of a frame of 8 MiB: %d bytes allocated, more than %d; %v", come, got, limit, err)
		}
	}
}

// TestReaderSlabs: the slab follows the traffic, up and down again.
func TestReaderSlabs(t *testing.T) {
	var data []byte
	add := func(frames, size int) {
		for range frames {
			data = wire.AppendData(data, 0, wire.Data{Value: make([]byte, size), HasValue: true})
		}
	}
	piece := 65536
	src := &pieces{next: func() int { return piece }}
	r := wire.NewReader(src)
	read := func() int {
		src.data, data = data, nil
		for r.Buffered() || len(src.data) > 0 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		return cap(r.Slab().B)
	}
	add(1, 100)
	if n := read(); n > 16<<10 {
		t.Errorf("one small message: %d", n)
	}
	add(100, 30000)
	if n := read(); n < 64<<10 || n > wire.DefaultSlab {
		t.Errorf("busy: %d", n)
	}
	add(1, 5<<20)
	if n := read(); n < 5<<20 {
		t.Errorf("a large frame: %d", n)
	}
	add(400, 30000)
	if n := read(); n > wire.DefaultSlab {
		t.Errorf("after the large frame: %d", n)
	}
	piece = 100
	add(100, 80)
	if n := read(); n > 16<<10 {
		t.Errorf("idle: %d", n)
	}
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	info := []byte{3, 2, 8, 1}
	cases := []struct {
		name   string
		src    io.Reader
		frames int
		err    error
	}{
		{"empty", bytes.NewReader(nil), 0, io.EOF},
		{"one frame", bytes.NewReader(info), 1, io.EOF},
		{"keep-alives only", bytes.NewReader(make([]byte, 50000)), 0, io.EOF},
		{"inside the length", bytes.NewReader(append(info, 0x80)), 1, io.ErrUnexpectedEOF},
		{"inside the body", bytes.NewReader(append(info, 3, 2, 8)), 1, io.ErrUnexpectedEOF},
		{"end with the last bytes", iotest.DataErrReader(bytes.NewReader(append(info, info...))), 2, io.EOF},
		{"broken with the last bytes", iotest.DataErrReader(io.MultiReader(bytes.NewReader(info), iotest.ErrReader(broken))), 1, broken},
		{"broken", io.MultiReader(bytes.NewReader(append(info, 3)), iotest.ErrReader(broken)), 1, broken},
		{"nothing comes", &pieces{info, func() int { return 0 }}, 0, io.ErrNoProgress},
		{"channel 256", bytes.NewReader(append(info, 3, 0x80, 0x20, 0)), 1, wire.ErrChannel},
		{"channel too long", bytes.NewReader(append(info, 11, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255)), 1, wire.ErrChannel},
		{"header only", bytes.NewReader(append(info, 2, 0x80, 0x80)), 1, wire.ErrTruncated},
	}
	for _, c := range cases {
		r := wire.NewReader(c.src)
		n := 0
		var err error
		for err == nil {
			if _, err = r.Next(); err == nil {
				n++
			}
		}
		if _, again := r.Next(); n != c.frames || !errors.Is(err, c.err) || again != err {
			t.Errorf("%s: %d frames, %v, again %v", c.name, n, err, again)
		}
		var e *wire.Error
		if theirs := c.err == wire.ErrChannel || c.err == wire.ErrTruncated; errors.As(err, &e) != theirs {
			t.Errorf("%s: %T", c.name, err)
		}
	}
	r := wire.NewReader(bytes.NewReader(info))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.Close()
	if _, err := r.Next(); err == nil {
		t.Error("reads on after Close")
	}
}

// TestReaderBuffered: it says whether Next would wait.
func TestReaderBuffered(t *testing.T) {
	info := []byte{3, 2, 8, 1}
	parts := [][]byte{append(append([]byte{0}, info...), append(info, 0, 0, 1, 9)...), append(info, 3, 2), {8, 1}}
	i := 0
	var srcs []io.Reader
	for _, p := range parts {
		srcs = append(srcs, bytes.NewReader(p))
	}
	r := wire.NewReader(io.MultiReader(srcs...))
	for _, want := range []bool{true, false, false, false} {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if r.Buffered() != want {
			t.Errorf("after frame %d: %v", i, !want)
		}
		i++
	}
}

// TestSplit: a frame is whole or its length is told as soon as it is known.
func TestSplit(t *testing.T) {
	frame := wire.AppendData(nil, 300, wire.Data{Index: 1, Value: make([]byte, 500), HasValue: true})
	for i := range frame {
		f, n, err := wire.Split(frame[:i], wire.MaxNativeChannels)
		want := len(frame)
		if i < 2 {
			want = i + 1
		}
		if err != nil || n != want || f.Body != nil {
			t.Fatalf("%d bytes: %d, %v, %v", i, n, f, err)
		}
	}
	f, n, err := wire.Split(append(frame, 0, 1, 7), wire.MaxNativeChannels)
	if err != nil || n != len(frame) || f.Channel != 300 || f.Type != wire.TypeData {
		t.Errorf("%v, %d, %v", f, n, err)
	}
	if _, _, err := wire.Split(frame, 300); !errors.Is(err, wire.ErrChannel) {
		t.Errorf("channel 300 of 300: %v", err)
	}
	for _, skip := range [][]byte{{0}, {1, 7}, {0x80, 0}, {0x81, 0x80, 0, 9}} {
		if f, n, err := wire.Split(append(skip, frame...), wire.MaxChannels); err != nil || n != len(skip) || f.Body != nil {
			t.Errorf("%x: %v, %d, %v", skip, f, n, err)
		}
	}
	r := wire.NewReader(bytes.NewReader(append([]byte{0, 0}, frame...)))
	r.SetChannels(wire.MaxNativeChannels)
	if f, err := r.Next(); err != nil || f.Channel != 300 {
		t.Errorf("%v, %v", f, err)
	}
	if start, end := r.Span(); start != 2 || end != uint64(2+len(frame)) {
		t.Errorf("from %d to %d", start, end)
	}
}

// TestWriterCipher: bytes before the cipher and the clear ones after it stay clear; the rest is the
// stream, wherever it is flushed.
func TestWriterCipher(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		stream, _ := randomFrames(rnd, 20, 300)
		before, clear := rnd.IntN(50), rnd.IntN(100)
		want := bytes.Clone(stream)
		wire.NewCipher(&[32]byte{1}, &[24]byte{2}).XOR(want[min(before+clear, len(want)):])
		var out bytes.Buffer
		w := wire.NewWriter(&out)
		w.Buf = append(w.Buf, stream[:before]...)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		w.SetCipher(wire.NewCipher(&[32]byte{1}, &[24]byte{2}), clear)
		for rest := stream[before:]; len(rest) > 0; {
			n := min(len(rest), rnd.IntN(400))
			if rnd.IntN(2) == 0 {
				w.Reserve(rnd.IntN(100000))
			}
			w.Buf = append(w.Buf, rest[:n]...)
			if rnd.IntN(2) == 0 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("another stream, %v", err)
		}
	}
}

type limitedWriter struct {
	n   int
	err error
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	n := min(l.n, len(p))
	l.n -= n
	if n < len(p) {
		return n, l.err
	}
	return n, nil
}

func TestWriterErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct{ give, want error }{{broken, broken}, {nil, io.ErrShortWrite}} {
		w := wire.NewWriter(&limitedWriter{5, c.give})
		w.Buf = append(w.Buf, "12345"...)
		if err := w.Flush(); err != nil || w.Written() != 5 {
			t.Errorf("%d, %v", w.Written(), err)
		}
		w.Buf = append(w.Buf, "6"...)
		if err := w.Flush(); err != c.want || len(w.Buf) != 0 {
			t.Errorf("%v, %d left", err, len(w.Buf))
		}
		if err := w.Flush(); err != nil {
			t.Errorf("nothing to write: %v", err)
		}
	}
}
