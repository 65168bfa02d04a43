// Package dump makes a recorded direction of a replication stream readable: one line for each frame,
// for people who look why two implementations disagree.
//
//	0         62      0        Feed          discoveryKey=1ef3…7527 nonce=0101…0101
//	62        40      0        Handshake     id=aaaa…aaaa live=false extensions=[] ack=false
//	102       4       0        Have          start=4 length=1
//	106       13      0        Have          start=0 length=1048576 bitfield=[0-4]
//	119       145     0        Data          index=4 value=15:746865206669667468… nodes=[3:13:…] signature=…
//
// The columns are: where the frame begins and how long it is, in bytes of the stream; the channel;
// the message; its fields. A value is its length and its begin, a node index:size:hash, a bitfield
// the blocks in it. A recording that is encrypted needs the public key of its
// first feed. Messages that cannot be read keep their place and say what is wrong; only a fault in
// the frames themselves ends the dump, because nothing can be found behind it.
package dump

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/go-hypercore/hypercore/protocol/wire"
	"golang.org/x/crypto/blake2b"
)

var (
	// ErrKeyNeeded: the recording is encrypted and no key was given.
	ErrKeyNeeded = errors.New("dump: the stream is encrypted: the public key of its first feed is needed")
	// ErrWrongKey: the key given is not that of the first feed.
	ErrWrongKey = errors.New("dump: the key is not that of the first feed")
)

// Options say how to read a recording. The zero value reads what is not encrypted.
type Options struct {
	Key    *[32]byte // public key of the first feed, nil if the stream is not encrypted
	Native bool      // the native dialect: more channels
	Whole  bool      // show keys, hashes and values whole instead of their begin
}

// Entry is one frame of a recording.
type Entry struct {
	Offset  uint64  // of the frame in the stream, in bytes
	Length  uint64  // of the whole frame, in bytes
	Channel uint64  // 0 for an Ignored frame
	Message string  // name of the message, or Ignored
	Fields  []Field // in the order of their numbers, without those that are absent
	Err     error   // what is wrong with the message, nil if nothing
}

// Ignored stands for the message of an Entry that covers keep-alives and frames of one byte.
const Ignored = "ignored"

// Field is a field of a message.
type Field struct{ Name, Value string }

// String returns the entry as a line, without a line end.
func (e Entry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-9d %-7d %-8d %-13s", e.Offset, e.Length, e.Channel, e.Message)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, " ! %v", e.Err)
	}
	return strings.TrimRight(b.String(), " ")
}

// Entries reads a recording from its first byte and gives its frames. If the recording is cut,
// faulty or of another key, the last pair is an empty Entry with the error: that of src,
// io.ErrUnexpectedEOF, a *wire.Error, ErrKeyNeeded or ErrWrongKey.
func Entries(src io.Reader, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r := wire.NewReader(src)
		defer r.Close()
		if o.Native {
			r.SetChannels(wire.MaxNativeChannels)
		}
		d := decoder{whole: o.Whole}
		opened := false // the first Feed has come
		for at := uint64(0); ; {
			f, err := r.Next()
			var e Entry
			start := r.Received()
			if err == nil {
				var end uint64
				start, end = r.Span()
				e = d.entry(f)
				e.Offset, e.Length = start, end-start
			}
			if start > at && (err == nil || err == io.EOF) && !yield(Entry{Offset: at, Length: start - at, Message: Ignored}, nil) {
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("dump: after byte %d: %w", at, err))
				return
			}
			if !yield(e, nil) {
				return
			}
			if f.Type == wire.TypeFeed && e.Err == nil && !opened {
				opened = true
				if err := decrypt(r, f.Body, o.Key); err != nil {
					yield(Entry{}, err)
					return
				}
			}
			at = e.Offset + e.Length
		}
	}
}

// decrypt sets the cipher of the stream, if its first Feed asks for it.
func decrypt(r *wire.Reader, body []byte, key *[32]byte) error {
	var m wire.Feed
	if err := wire.ParseFeed(body, &m); err != nil {
		return err
	}
	if key != nil {
		h, err := blake2b.New256(key[:])
		if err != nil {
			return err
		}
		h.Write([]byte("hypercore"))
		if [32]byte(h.Sum(nil)) != m.DiscoveryKey {
			return ErrWrongKey
		}
	}
	switch {
	case m.Nonce == nil || m.Capability != nil:
		return nil
	case key == nil:
		return ErrKeyNeeded
	}
	r.SetCipher(wire.NewCipher(key, (*[wire.NonceLen]byte)(m.Nonce)))
	return nil
}

// Write writes all lines of a recording to dst.
func Write(dst io.Writer, src io.Reader, o Options) error {
	for e, err := range Entries(src, o) {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(dst, e); err != nil {
			return err
		}
	}
	return nil
}
