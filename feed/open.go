package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// found is what an open finds before it changes anything.
type found struct {
	key, secret []byte // nil if missing, too short or too long
	badKey      bool   // there is one that has not 32 bytes
	sizes       map[string]int64
	journal     record
	hasJournal  bool
	lacks       error // why it may be the older slot, see owesMore
}

// content reports whether there are blocks, or traces of some.
func (s *found) content() bool {
	return s.sizes[treeName] > headerSize || s.sizes[signaturesName] > headerSize || s.sizes[bitfieldName] > headerSize ||
		s.sizes[dataName] > 0 || s.hasJournal && s.journal.length > 0
}

// alone reports whether there is a file key and nothing else of a feed.
func (s *found) alone() bool { return s.key != nil && len(s.sizes) == 0 && s.secret == nil }

// Open opens the feed that is stored in st, or creates one. See the package
// comment for what is done with a directory that is damaged, behind, or was
// written elsewhere; an Open that fails has changed nothing that was there.
//
// It fails with ErrLocked, ErrNotFound, ErrNotFeed, ErrKeyMismatch, ErrBadKey, a
// *CorruptError, or an error of the storage.
func Open(ctx context.Context, st store.Storage, opts Options) (*Feed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if st == nil {
		return nil, errors.New("feed: no storage to open")
	}
	if opts.ReadOnly {
		opts.MustExist = true
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	f := newFeed(st, opts)
	if _, ok := st.(store.Stamper); ok && opts.Lot != nil {
		f.lot = opts.Lot
		f.lot.admit()
	}
	err := f.open(ctx)
	f.looping = false
	if err != nil {
		f.letGo()
		if f.lot != nil {
			f.lot.quit()
		}
		return nil, err
	}
	if f.lot != nil {
		f.lot.drive(f, false)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tree.trim() // an idle feed keeps little
	if f.eager || f.durable < f.acc.Len() {
		f.kick() // what was recovered may be announced when it is committed
	}
	return f, nil
}

// newFeed returns a feed that is to be opened. Until looping is taken back, nothing
// is committed.
func newFeed(st store.Storage, opts Options) *Feed {
	if r, ok := st.(store.Reader); ok && opts.ReadOnly {
		st = r.Reading()
	}
	f := &Feed{st: st, opts: opts, done: make(chan struct{}), acc: new(merkle.Accumulator), looping: true}
	f.hash = f.acc.TreeHash()
	f.apply.verifier.Held, f.apply.verifier.Word = f.held, f.treeWord
	return f
}

func (f *Feed) open(ctx context.Context) error {
	s, err := f.survey()
	if err != nil {
		return err
	}
	switch {
	case f.opts.Overwrite:
		if err := f.wipe(); err != nil {
			return err
		}
		return f.create(&found{})
	case s.key == nil && !s.content():
		return f.create(s)
	case s.key == nil:
		return f.openKeyless(ctx, s)
	}
	if err := f.takeKeys(s); err != nil {
		return err
	}
	if err := f.load(ctx, s); err != nil {
		return err
	}
	return f.guard(s)
}

// survey locks the feed and looks at what is there. It creates at most an empty
// bitfield, for the lock, and only if the open will go on.
func (f *Feed) survey() (*found, error) {
	s, err := f.look()
	if err != nil {
		return nil, err
	}
	if s.key == nil && !f.opts.Overwrite && !f.opts.Repair {
		if err := f.strangers(); err != nil {
			return nil, err
		}
	}
	if (s.key == nil && !s.content() || s.alone()) && f.opts.MustExist {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, f.st)
	}
	if (f.opts.Overwrite || s.key == nil && !s.content()) && f.opts.Static && !f.opts.Key.IsZero() {
		return nil, fmt.Errorf("%w: a new static feed gets its key when it is finalized, Options.Key is %v; to download that feed open it without Options.Static", ErrStatic, f.opts.Key)
	}
	if f.files.bitfield != nil || f.opts.ReadOnly {
		return s, nil
	}
	if s.key != nil && !s.hasJournal && s.content() && !f.opts.Repair && !f.opts.Overwrite {
		return nil, f.corrupt(bitfieldName, 0, "it is missing, but there are blocks; a feed repaired by guessing could fork")
	}
	if s.key == nil && s.content() && !s.hasJournal && !f.opts.Static && !f.opts.Repair && !f.opts.Overwrite {
		return nil, f.keyless()
	}
	if f.files.bitfield, err = f.st.Open(bitfieldName, true); err != nil {
		return nil, f.fileError("create", bitfieldName, err)
	}
	return f.look() // somebody may have been faster
}

// look opens the files that exist, the lock first.
func (f *Feed) look() (*found, error) {
	s := &found{sizes: map[string]int64{}}
	err := f.files.each(func(name string, file *store.File) (err error) {
		if *file == nil {
			if *file, err = openIf(f.st, name); err != nil {
				return f.fileError("open", name, err)
			}
		}
		if *file == nil {
			return nil
		}
		if name == bitfieldName {
			if err := (*file).Lock(); errors.Is(err, errors.ErrUnsupported) {
				return fmt.Errorf("feed: %s: the file %s cannot be locked, so two could write here: %w", f.st, name, err)
			} else if err != nil {
				return fmt.Errorf("feed: %s: %w", f.st, err)
			}
		}
		if s.sizes[name], err = (*file).Size(); err != nil {
			return f.fileError("size of", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if s.key, err = readSmall(f.st, keyName, keySize+1); err != nil {
		return nil, f.fileError("read", keyName, err)
	}
	if len(s.key) != keySize || isZero(s.key[keySize/2:]) { // a power cut while it was made
		s.badKey = len(s.key) > 0
		s.key = nil
	}
	if s.secret, err = readSmall(f.st, secretName, secretSize); err != nil {
		return nil, f.fileError("read", secretName, err)
	}
	if len(s.secret) < secretSize || isZero(s.secret[secretSize/2:]) {
		s.secret = nil
	}
	if f.files.journal != nil {
		if s.journal, s.hasJournal, err = readJournal(f.files.journal); err != nil {
			s.lacks = f.fileError("read", journalName, err)
			if !s.hasJournal || !f.opts.ReadOnly && !f.opts.Repair {
				return nil, s.lacks
			}
		}
	}
	return s, nil
}

// openKeyless opens a directory that has blocks but no key: a static feed that is
// not finalized, or a damaged feed.
func (f *Feed) openKeyless(ctx context.Context, s *found) error {
	draft := s.hasJournal && s.journal.unfinished
	switch {
	case draft && !f.opts.Static && !f.opts.ReadOnly:
		return fmt.Errorf("%w: %s holds a static feed that is not finalized; open it with Options.Static", ErrStatic, f.st)
	case draft, f.opts.Static && !s.hasJournal && s.sizes[signaturesName] <= headerSize && !s.badKey:
		f.draft = true
	case f.opts.Repair:
		key := f.opts.Key
		if key.IsZero() && s.secret != nil {
			k, err := checkSecret(s.secret)
			if err != nil {
				return f.corrupt(secretName, 0, "%v", err)
			}
			key = k
		}
		if key.IsZero() {
			return f.corrupt(keyName, 0, "it is missing or shorter than 32 bytes; give Options.Key to repair it")
		}
		s.key = key[:]
		f.repair.Key = true
	default:
		return f.keyless()
	}
	if err := f.takeKeys(s); err != nil {
		return err
	}
	if err := f.load(ctx, s); err != nil {
		return err
	}
	if f.repair.Key {
		if err := f.writeKey(f.key); err != nil {
			return err
		}
	}
	return f.guard(s)
}

// keyless is the error for blocks of which nobody knows the key.
func (f *Feed) keyless() error {
	return f.corrupt(keyName, 0, "it is missing or has not 32 bytes, but there are blocks")
}

// takeKeys checks that the keys that are stored and those that are given belong
// together.
func (f *Feed) takeKeys(s *found) error {
	if s.key != nil {
		f.key = Key(s.key)
	}
	if !f.opts.Key.IsZero() && f.opts.Key != f.key {
		return fmt.Errorf("%w: %s holds %v, not %v", ErrKeyMismatch, f.st, f.key, f.opts.Key)
	}
	if s.hasJournal && !s.journal.unfinished && s.journal.key != f.key {
		return f.corrupt(keyName, 0, "it is %v, the journal belongs to %v", f.key, s.journal.key)
	}
	switch {
	case f.draft:
	case f.opts.SecretKey != nil:
		f.secret = bytes.Clone(f.opts.SecretKey)
	case s.secret != nil:
		k, err := checkSecret(s.secret)
		if err != nil {
			return f.corrupt(secretName, 0, "%v", err)
		}
		if k != f.key {
			return fmt.Errorf("%w: in %s the key is %v, the secret key belongs to %v", ErrKeyMismatch, f.st, f.key, k)
		}
		f.secret = s.secret
	}
	return nil
}

// guard decides whether this is the place to go on writing. It is the last step
// of every open.
func (f *Feed) guard(s *found) error {
	length := f.acc.Len()
	f.identity = s.journal.identity
	f.announced = max(f.announced, s.journal.announced, length)
	if f.secret != nil {
		if most := max(f.announced, f.opts.KnownLength); most > length {
			f.behind = most
		}
		if f.opts.Identity != "" && f.identity != "" && f.opts.Identity != f.identity {
			f.other = f.identity
		}
	}
	fork, err := f.readFork()
	if err != nil {
		return err
	}
	f.frozen = fork
	return nil
}
