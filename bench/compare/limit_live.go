package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/crypto/blake2b"
)

// liveLimit is what is between an append and a get that cannot be left out: one
// goroutine hashes a block, signs the hash, writes both to a file and to a stream;
// another one reads the stream, hashes and verifies. There is no log, no tree, no
// queue, and nobody who waits for anything else.
type liveLimit struct {
	key    ed25519.PrivateKey
	file   *os.File
	stream chan network.Stream // of the writer: that on which the reader came
	from   network.Stream      // of the reader
	public ed25519.PublicKey
}

func (l *limit) LiveServe(_ context.Context, r *request) (string, error) {
	h, err := newHost()
	if err != nil {
		return "", err
	}
	l.host = h
	l.live.stream = make(chan network.Stream, 1)
	if l.live.public, l.live.key, err = ed25519.GenerateKey(nil); err != nil {
		return "", err
	}
	if l.live.file, err = os.Create(filepath.Join(r.Dir, "data")); err != nil {
		return "", err
	}
	h.SetStreamHandler(limitProtocol, func(s network.Stream) {
		if _, err := s.Write(l.live.public); err != nil {
			s.Reset()
			return
		}
		l.live.stream <- s
	})
	return offerOf(h)
}

func (l *limit) LiveJoin(ctx context.Context, r *request) error {
	h, err := newHost()
	if err != nil {
		return err
	}
	l.host = h
	id, err := dialOffer(ctx, h, r.Offer)
	if err != nil {
		return err
	}
	if l.live.from, err = h.NewStream(ctx, id, limitProtocol); err != nil {
		return err
	}
	l.live.public = make(ed25519.PublicKey, ed25519.PublicKeySize)
	_, err = io.ReadFull(l.live.from, l.live.public)
	return err
}

func (l *limit) LiveWrite(ctx context.Context, r *request) error {
	defer l.live.file.Close()
	s := <-l.live.stream
	defer s.Close()
	start := time.Now()
	for i := range r.Data.Count {
		r.pace(start, i)
		b := stamp(r.Data.Block)
		h := blake2b.Sum256(b)
		b = append(b, ed25519.Sign(l.live.key, h[:])...)
		if _, err := l.live.file.WriteAt(b, int64(i*len(b))); err != nil {
			return err
		}
		if _, err := s.Write(b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *limit) LiveRead(_ context.Context, r *request) ([]float64, error) {
	late := make([]float64, r.Data.Count)
	b := make([]byte, r.Data.Block+ed25519.SignatureSize)
	for i := range late {
		if _, err := io.ReadFull(l.live.from, b); err != nil {
			return nil, err
		}
		h := blake2b.Sum256(b[:r.Data.Block])
		if !ed25519.Verify(l.live.public, h[:], b[r.Data.Block:]) {
			return nil, errors.New("a signature does not verify")
		}
		late[i] = age(b)
	}
	return late, nil
}
