package control

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// cutOffTrailer, in the trailer of an append, says that its body ends before the
// input does: what is left after the last whole block is none.
const cutOffTrailer = "Hypercore-Cut-Off"

// answerGrace is how long an append whose context has ended waits for the node to
// say what it has appended.
const answerGrace = 5 * time.Second

// uploadPiece is how much of the input is read at once.
const uploadPiece = 128 << 10

// upload is the body of an append. It ends when the input or ctx does, also while
// a Read of the input hangs, which is left behind then.
type upload struct {
	ctx     context.Context // constant
	r       io.Reader       // constant
	cut     Cut             // constant
	trailer http.Header     // constant; written before the body ends
	done    chan struct{}   // constant; closed by close
	pieces  chan piece      // constant
	free    chan []byte     // constant; buffers of pieces

	// Of the goroutine that reads the body.
	started bool
	broken  <-chan struct{} // of the connection
	at      piece           // what is not read yet
	buf     []byte          // of at, to be given back

	mu     sync.Mutex
	blocks uint64 // whole ones that were read
	rest   int    // bytes since the last of them
	err    error  // why the body was cut off
	ended  bool   // the input is at its end
}

// piece is what one Read of the input returned.
type piece struct {
	b   []byte
	err error
}

func newUpload(ctx context.Context, r io.Reader, cut Cut) *upload {
	u := &upload{ctx: ctx, r: r, cut: cut, trailer: http.Header{cutOffTrailer: nil}, done: make(chan struct{}), pieces: make(chan piece), free: make(chan []byte, 2)}
	u.free <- nil
	u.free <- nil
	return u
}

// pump reads the input.
func (u *upload) pump() {
	for {
		var buf []byte
		select {
		case buf = <-u.free:
		case <-u.done:
			return
		}
		if buf == nil {
			buf = make([]byte, uploadPiece)
		}
		n, err := u.r.Read(buf)
		select {
		case u.pieces <- piece{buf[:n], err}:
		case <-u.done:
			return
		}
		if err != nil {
			return
		}
	}
}

func (u *upload) Read(p []byte) (int, error) {
	if !u.started { // not before the node wants it
		u.started = true
		go u.pump()
	}
	for len(u.at.b) == 0 {
		if u.at.err != nil {
			return 0, u.end(u.at.err)
		}
		if u.buf != nil {
			u.free <- u.buf
			u.buf = nil
		}
		select {
		case u.at = <-u.pieces:
			u.buf = u.at.b[:cap(u.at.b)]
		case <-u.ctx.Done():
			return 0, u.end(context.Cause(u.ctx))
		case <-u.broken: // the request does not end before its body does
			return 0, io.ErrUnexpectedEOF
		case <-u.done:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, u.at.b)
	u.at.b = u.at.b[n:]
	u.count(p[:n])
	return n, nil
}

// trace is told on which connection the body goes.
func (u *upload) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if w, ok := i.Conn.(*watched); ok {
			u.broken = w.broken
		}
	}}
}

// watched is a connection that tells when nothing comes any more.
type watched struct {
	net.Conn
	once   sync.Once
	broken chan struct{} // constant; closed then
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.once.Do(func() { close(w.broken) })
	}
	return n, err
}

// end ends the body: as the input does, or cut off.
func (u *upload) end(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended = err == io.EOF; !u.ended {
		u.err = err
		u.trailer.Set(cutOffTrailer, "1")
	}
	return io.EOF
}

// count notes what is on its way.
func (u *upload) count(p []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch u.rest += len(p); u.cut.By {
	case CutChunk:
		u.blocks += uint64(u.rest / u.cut.Size)
		u.rest %= u.cut.Size
	case CutLines:
		if i := bytes.LastIndexByte(p, '\n'); i >= 0 {
			u.blocks += uint64(bytes.Count(p, []byte{'\n'}))
			u.rest = len(p) - i - 1
		}
	}
}

// sent is how many blocks were sent, and why no more; nil: the input has ended.
func (u *upload) sent() (blocks uint64, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	blocks = u.blocks
	if u.ended && (u.rest > 0 || u.cut.By == CutWhole) {
		blocks++
	}
	return blocks, u.err
}

// close ends the upload. What reads it may go on for a moment.
func (u *upload) close() { close(u.done) }

// received is the body of an append at the node.
type received struct{ r *http.Request }

func (b received) Read(p []byte) (int, error) {
	n, err := b.r.Body.Read(p)
	if err == io.EOF && b.r.Trailer.Get(cutOffTrailer) != "" {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
