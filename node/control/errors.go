package control

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"syscall"

	"github.com/go-hypercore/hypercore/feed"
)

// RemoteError is an error that happened in the running node. errors.Is and
// errors.As see through it as if it had happened here: it unwraps to the
// sentinels that the original had, and to *feed.CorruptError.
type RemoteError struct {
	Message string  // the original's Error()
	causes  []error // what errors.Is and errors.As find
}

func (e *RemoteError) Error() string { return e.Message }

// Unwrap returns the sentinels and typed errors the original carried.
func (e *RemoteError) Unwrap() []error { return e.causes }

// ErrNoNode says that no running node answers at a control socket.
var ErrNoNode = errors.New("control: no running node")

// ErrNoAnswer says that a process listens at a control socket and does not answer: it is
// stopped, or stuck.
var ErrNoAnswer = errors.New("control: the node does not answer")

// ErrNodeEnded says that the node ended while it was being asked.
var ErrNodeEnded = errors.New("control: the node that held the feed has ended")

// nodeEnded is ErrNodeEnded with how it showed, which says nothing to a user.
type nodeEnded struct{ cause error }

func (e *nodeEnded) Error() string   { return ErrNodeEnded.Error() }
func (e *nodeEnded) Unwrap() []error { return []error{ErrNodeEnded, e.cause} }

// gone is err, as ErrNodeEnded if that is what it means: a connection that breaks,
// or requests that the node cancels, which it does when it is closed.
func gone(err error) error {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET, context.Canceled} {
		if errors.Is(err, e) && !errors.Is(err, ErrNoNode) {
			return &nodeEnded{err}
		}
	}
	return err
}

// ErrBadRequest says that the request itself makes no sense.
var ErrBadRequest = errors.New("control: bad request")

// ErrTooLong says that what was to become a block is longer than peers can be sent. It is
// ErrBadRequest, too.
var ErrTooLong = errors.New("control: too long for a block")

// tooLong is ErrTooLong in words that stand alone.
type tooLong string

func (e tooLong) Error() string        { return string(e) }
func (e tooLong) Is(target error) bool { return target == ErrTooLong || target == ErrBadRequest }

// codes are the names under which errors cross the socket. One error may have
// several: all of them are sent. The HTTP status is the first one's.
var codes = []struct {
	code   string
	status int
	err    error
}{
	{"not_local", 404, feed.ErrNotLocal},
	{"not_found", 404, feed.ErrNotFound},
	{"out_of_bounds", 416, feed.ErrOutOfBounds},
	{"not_writable", 403, feed.ErrNotWritable},
	{"behind", 409, feed.ErrBehind},
	{"other_writer", 409, feed.ErrOtherWriter},
	{"frozen", 409, feed.ErrFrozen},
	{"invalid_proof", 422, feed.ErrInvalidProof},
	{"key_mismatch", 409, feed.ErrKeyMismatch},
	{"locked", 423, feed.ErrLocked},
	{"closed", 503, feed.ErrClosed},
	{"too_long", 413, ErrTooLong},
	{"bad_request", 400, ErrBadRequest},
	{"no_node", 503, ErrNoNode},
	{"canceled", 499, context.Canceled},
	{"timeout", 504, context.DeadlineExceeded},
	{"no_space", 507, syscall.ENOSPC},
	{"io_error", 500, syscall.EIO},
	{"no_permission", 403, fs.ErrPermission},
	{"no_file", 404, fs.ErrNotExist},
}

// In FeedInfo codeCorrupt stands for *feed.CorruptError, and codeUnwritable for a feed
// of one's own that is opened to be read.
const (
	codeCorrupt    = "corrupt"
	codeUnwritable = "unwritable"
)

// wireError is an error as JSON.
type wireError struct {
	Message string       `json:"message"`
	Codes   []string     `json:"codes,omitempty"`
	Corrupt *wireCorrupt `json:"corrupt,omitempty"`
}

type wireCorrupt struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

// toWire describes err and gives its HTTP status.
func toWire(err error) (wireError, int) {
	w, status := wireError{Message: err.Error()}, 0
	for _, c := range codes {
		if errors.Is(err, c.err) {
			w.Codes = append(w.Codes, c.code)
			if status == 0 {
				status = c.status
			}
		}
	}
	var ce *feed.CorruptError
	if errors.As(err, &ce) {
		w.Corrupt = &wireCorrupt{File: ce.File, Offset: ce.Offset, Reason: ce.Reason}
	}
	if status == 0 {
		status = 500
	}
	return w, status
}

// fromWire makes the error that toWire described.
func fromWire(w wireError) error {
	e := &RemoteError{Message: w.Message}
	for _, c := range codes {
		for _, have := range w.Codes {
			if have == c.code {
				e.causes = append(e.causes, c.err)
			}
		}
	}
	if w.Corrupt != nil {
		e.causes = append(e.causes, &feed.CorruptError{File: w.Corrupt.File, Offset: w.Corrupt.Offset, Reason: w.Corrupt.Reason})
	}
	return e
}
