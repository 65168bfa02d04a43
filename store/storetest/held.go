package storetest

import (
	"sync/atomic"

	"github.com/go-hypercore/hypercore/store"
)

// Held wraps a Storage on which one operation can be held up, as by a disk that does
// not answer. It can be made and used in a bubble of testing/synctest.
type Held struct {
	store.Storage
	file         string
	kind         Kind
	armed        atomic.Bool
	begun, letGo chan struct{}
}

// NewHeld returns a Held for operations of one kind, Write or Sync, on one file.
func NewHeld(s store.Storage, file string, kind Kind) *Held {
	return &Held{Storage: s, file: file, kind: kind, begun: make(chan struct{}), letGo: make(chan struct{})}
}

// Hold makes the next such operation wait until LetGo. It is called once.
func (h *Held) Hold() { h.armed.Store(true) }

// Begun is closed when an operation waits.
func (h *Held) Begun() <-chan struct{} { return h.begun }

// LetGo lets the operation go on. It is called once.
func (h *Held) LetGo() { close(h.letGo) }

// Open wraps the file.
func (h *Held) Open(name string, create bool) (store.File, error) {
	f, err := h.Storage.Open(name, create)
	if err == nil && name == h.file {
		f = heldFile{f, h}
	}
	return f, err
}

func (h *Held) pass(kind Kind) {
	if kind == h.kind && h.armed.CompareAndSwap(true, false) {
		close(h.begun)
		<-h.letGo
	}
}

type heldFile struct {
	store.File
	h *Held
}

func (f heldFile) WriteAt(p []byte, off int64) (int, error) {
	f.h.pass(Write)
	return f.File.WriteAt(p, off)
}

func (f heldFile) Sync() error {
	f.h.pass(Sync)
	return f.File.Sync()
}
