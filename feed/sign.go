package feed

import (
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// Signature is a signature record: it covers the feed up to and including block
// Index, that is the roots of length Index+1.
type Signature struct {
	Index uint64
	Bytes [sigSize]byte
}

// verifySignature reports whether the key signed the tree of this length, as
// hypercore 6 to 8 do (the tree hash) or as hypercore 9 does (with the length).
func verifySignature(key Key, hash merkle.Hash, length uint64, sig []byte) bool {
	if len(sig) != sigSize {
		return false
	}
	if ed25519.Verify(key[:], hash[:], sig) {
		return true
	}
	s9 := merkle.Signable9(hash, length)
	return ed25519.Verify(key[:], s9[:], sig)
}

// sigRecord is a signature that is not in the file yet.
type sigRecord struct {
	length uint64
	hash   merkle.Hash // of the length; zero until seal
	sig    [sigSize]byte
	signed bool // else sig is still to be made
	own    bool // appended here: records between it and the one before are blank
}

// sigList is the signatures of a feed: the file and what is not in it yet.
// Guarded by Feed.mu, but for the records in flight, which are the flight's.
type sigList struct {
	file  store.File
	recs  []sigRecord
	taken int       // the first records, which are being signed and written
	last  sigRecord // the one used last, signed
	piled time.Time // when an append came last beyond maxPiled
}

func (l *sigList) add(r sigRecord) {
	l.recs = append(l.recs, r)
	if r.signed {
		l.last = r
	}
}

// Appends have a signature each, as in hypercore 6, unless they come faster than it
// takes them one by one: maxPiled are not on their way to the files yet, and the last
// of them came within pileTime. Those share one, as appends do that hypercore 6 is
// given while it writes.
const (
	maxPiled = 16
	pileTime = 100 * time.Microsecond
)

// shared tells, of an append that comes now, whether it shares the next signature.
func (l *sigList) shared() bool {
	if len(l.recs)-l.taken < maxPiled {
		return false
	}
	now := time.Now()
	last := l.piled
	l.piled = now
	return now.Sub(last) < pileTime
}

// move has the next signature be that of a greater length, instead of one each:
// the appends are concurrent, so they are one batch, as they are in hypercore 6.
func (l *sigList) move(length uint64) {
	if n := len(l.recs); n > l.taken && l.recs[n-1].hash == (merkle.Hash{}) && !l.recs[n-1].signed {
		l.recs[n-1].length = length
		return
	}
	l.add(sigRecord{length: length, own: true})
}

// seal gives the last record, if move has made it, the tree hash that it signs.
func (l *sigList) seal(hash merkle.Hash) {
	if n := len(l.recs); n > l.taken && l.recs[n-1].hash == (merkle.Hash{}) {
		l.recs[n-1].hash = hash
	}
}

// take returns the records that are to be written; hash is the feed's.
func (l *sigList) take(hash merkle.Hash) []sigRecord {
	l.seal(hash)
	recs := slices.Clone(l.recs[l.taken:])
	l.taken = len(l.recs)
	return recs
}

// signed tells the signatures of the records taken, from when on they can be shown.
func (l *sigList) signed(recs []sigRecord) { copy(l.recs[l.taken-len(recs):l.taken], recs) }

// landed tells that the records taken are in the file.
func (l *sigList) landed(recs []sigRecord) {
	for i := range recs {
		if recs[i].signed {
			l.last = recs[i]
		}
	}
	l.recs = append(l.recs[:0], l.recs[l.taken:]...)
	l.taken = 0
}

// at returns the signature of a length; ok is false if there is none. It is
// checked if it was verified, or made here, before.
func (l *sigList) at(length uint64) (sig [sigSize]byte, ok, checked bool, err error) {
	if l.last.signed && l.last.length == length {
		return l.last.sig, true, true, nil
	}
	for i := len(l.recs) - 1; i >= 0; i-- {
		if r := &l.recs[i]; r.length == length && r.signed {
			return r.sig, true, true, nil
		}
	}
	sig, ok, err = readSig(l.file, length)
	return sig, ok, false, err
}

// readSig reads the record of a length; ok is false if it is blank.
func readSig(file store.File, length uint64) (sig [sigSize]byte, ok bool, err error) {
	if length == 0 {
		return sig, false, nil
	}
	n, err := readFull(file, sig[:], sigOffset(length))
	return sig, n == sigSize && sig != [sigSize]byte{}, err
}

func sigOffset(length uint64) int64 { return headerSize + int64(length-1)*sigSize }

// sign makes the signatures that are missing, on all cores; false if none is.
func sign(secret ed25519.PrivateKey, recs []sigRecord) bool {
	missing := 0
	for i := range recs {
		if !recs[i].signed {
			missing++
		}
	}
	if missing == 0 {
		return false
	}
	parallel(len(recs), minSigns, 1, func(start, end int) {
		for i := start; i < end; i++ {
			if !recs[i].signed {
				recs[i].make(secret)
			}
		}
	})
	return true
}

// minSigns is the number of signatures that is worth a goroutine.
const minSigns = 4

func (r *sigRecord) make(secret ed25519.PrivateKey) {
	r.sig = [sigSize]byte(ed25519.Sign(secret, r.hash[:]))
	r.signed = true
}

// sigRuns joins records into pieces of the file. Blank records between appended
// ones are written too, if they are few.
func sigRuns(recs []sigRecord, runs []run) []run {
	const maxBlank = 16
	var buf []byte
	var next uint64 // length after the open run
	for i := range recs {
		r := &recs[i]
		if !r.signed {
			continue
		}
		if buf != nil && r.length >= next && (r.length == next || r.own && r.length-next <= maxBlank) {
			buf = append(buf, make([]byte, (r.length-next)*sigSize)...)
			buf = append(buf, r.sig[:]...)
			runs[len(runs)-1].buf = buf
		} else {
			buf = append(make([]byte, 0, sigSize), r.sig[:]...)
			runs = append(runs, run{off: sigOffset(r.length), buf: buf})
		}
		next = r.length + 1
	}
	return runs
}
