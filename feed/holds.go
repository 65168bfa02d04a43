package feed

import (
	"bytes"
	"fmt"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/store"
)

// Names such as key, data and journal are common: a directory may have files that are
// not a feed's. Those are never written to, so before a feed is made each file has to
// look like what an earlier Open that was ended, or a power cut, has left: empty, full
// of zeros, or with the beginning that a feed's file has.

// Holds tells whether st holds a feed, whole or damaged, as far as the beginnings of its
// files say so. It takes no lock and changes nothing.
func Holds(st store.Storage) bool {
	if r, ok := st.(store.Reader); ok {
		st = r.Reading()
	}
	for _, name := range []string{keyName, bitfieldName, treeName, signaturesName, secretName} {
		f, err := openIf(st, name)
		if f == nil || err != nil {
			continue
		}
		l, err := lookAt(name, f)
		f.Close()
		if err == nil && l.ours {
			return true
		}
	}
	return false
}

// looks is what the beginning of a file says.
type looks struct {
	ours   bool // it may be that of a feed
	proven bool // nothing else begins so
	torn   bool // it may be the beginning of a key
}

func lookAt(name string, f store.File) (l looks, err error) {
	size, err := f.Size()
	if err != nil {
		return l, err
	}
	var buf [secretSize]byte
	n, err := readFull(f, buf[:], 0)
	head := buf[:n]
	blank := isZero(head)
	switch name {
	case keyName:
		l.ours, l.torn = size == keySize || size < keySize && blank, size < keySize
	case secretName:
		l.ours, l.torn = size == secretSize || size < secretSize && blank, size < secretSize
	case dataName:
		l.ours = size == 0
	case journalName:
		var second [len(slotMagic)]byte
		if _, err := readFull(f, second[:], slotStride); err != nil {
			return l, err
		}
		l.proven = bytes.HasPrefix(head, slotMagic[:]) || second == slotMagic
		l.ours = blank || l.proven || bytes.HasPrefix(slotMagic[:], head)
	default:
		want := headerOf(name, bitfield.PageSize)[:4]
		l.proven = bytes.HasPrefix(head, want)
		l.ours = blank || l.proven || bytes.HasPrefix(want, head)
	}
	return l, err
}

// strangers returns ErrNotFeed if there are files that are not a feed's and none that
// certainly is. The bitfield is made first, so where there is one the beginning of a key
// is what a failed write has left.
func (f *Feed) strangers() error {
	stranger, begun := "", false
	for _, name := range []string{bitfieldName, journalName, treeName, signaturesName, dataName, keyName, secretName} {
		file, err := openIf(f.st, name)
		if err != nil {
			return f.fileError("open", name, err)
		}
		if file == nil {
			continue
		}
		l, err := lookAt(name, file)
		file.Close()
		switch {
		case err != nil:
			return f.fileError("read", name, err)
		case l.proven:
			return nil
		case name == bitfieldName && l.ours, begun && l.torn:
			begun = true
		case !l.ours && stranger == "":
			stranger = name
		}
	}
	if stranger == "" {
		return nil
	}
	return fmt.Errorf("%w: %s has a file %s that is not a feed's, and was left as it is", ErrNotFeed, f.st, stranger)
}
