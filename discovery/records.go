package discovery

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	dsq "github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
)

// recordLimits bound the provider records that a DHT server holds for others.
// kad-dht bounds only their age, and whoever connects may send it any number.
type recordLimits struct {
	peer  int // of one announcing peer
	key   int // of one key
	total int
}

// heldRecords leave room for a peer that announces ten thousand feeds. A record
// takes some 200 bytes of memory, at worst 500: with the longest key, and the only
// one of its key and of its peer.
var heldRecords = recordLimits{peer: 1 << 14, key: 1 << 9, total: 1 << 18}

// recordStore is the datastore in which kad-dht keeps provider records. All of
// them are in memory, so that looking one key up does not read the others; below
// is where they are kept over a restart.
//
// There is always room for a new record: that of a peer that has its share
// replaces its own oldest one, that of a key the oldest one of the key, whose
// provider is the most likely to be gone. When all is full, the oldest one goes
// of the peer that has most: who floods displaces himself. The records of this
// host are as many as its application wants; they count for none of the limits
// and are never displaced.
type recordStore struct {
	ds.Batching // nil; what kad-dht does not call is not here
	limits      recordLimits
	self        string
	below       ds.Batching // may be nil

	// mu guards the fields below, and is held while below is written, so that
	// it sees the writes in the same order.
	mu    sync.Mutex
	keys  map[string][]*heldRecord
	peers map[string]*announcing
	most  mostFirst // the peers with records that count
	total int       // records that count
}

// heldRecord says that a peer announced a key. Keys and peers are spelled as in
// the names of the datastore.
type heldRecord struct {
	key        string
	by         *announcing
	at         int64 // Unix time in nanoseconds
	prev, next *heldRecord
}

// announcing is a peer with records.
type announcing struct {
	peer  string
	own   bool // this host
	n     int
	index int        // in mostFirst
	ring  heldRecord // of its records, the oldest one first
}

// newRecordStore reads what is below, which may be nil.
func newRecordStore(ctx context.Context, self peer.ID, below ds.Batching, limits recordLimits) (*recordStore, error) {
	s := &recordStore{
		limits: limits,
		self:   base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(self)),
		below:  below,
		keys:   map[string][]*heldRecord{},
		peers:  map[string]*announcing{},
	}
	if below == nil {
		return s, nil
	}
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("reading the provider records: %w", err)
	}
	return s, nil
}

// load reads the records of former runs. Those that are too many are dropped,
// of one peer in no particular order.
func (s *recordStore) load(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	res, err := s.below.Query(ctx, dsq.Query{Prefix: records.ProvidersKeyPrefix})
	if err != nil {
		return err
	}
	var drop []ds.Key // not while the query may hold a lock
	for {
		e, ok := res.NextSync()
		if !ok {
			break
		}
		if e.Error != nil {
			return errors.Join(e.Error, res.Close())
		}
		k := ds.RawKey(e.Key)
		key, id, ok := splitRecord(k)
		at, n := binary.Varint(e.Value)
		if !ok || n <= 0 {
			drop = append(drop, k)
			continue
		}
		drop = append(drop, s.insert(key, id, at)...)
	}
	if err := res.Close(); err != nil {
		return err
	}
	var all []*heldRecord
	for _, rs := range s.keys {
		all = append(all, rs...)
	}
	slices.SortFunc(all, func(a, b *heldRecord) int { return cmp.Compare(a.at, b.at) })
	for _, r := range all {
		r.unlink()
		r.by.link(r)
	}
	for some := range slices.Chunk(drop, 1000) {
		b, err := s.below.Batch(ctx)
		if err != nil {
			return err
		}
		for _, k := range some {
			if err := b.Delete(ctx, k); err != nil {
				return err
			}
		}
		if err := b.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Put stores a record, and makes room for it.
func (s *recordStore) Put(ctx context.Context, k ds.Key, value []byte) error {
	key, id, ok := splitRecord(k)
	at, n := binary.Varint(value)
	if !ok || n <= 0 {
		return fmt.Errorf("discovery: not a provider record: %s", k)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.below != nil {
		if err := s.below.Put(ctx, k, value); err != nil {
			return err
		}
	}
	var errs []error
	for _, old := range s.insert(key, id, at) {
		if s.below != nil {
			errs = append(errs, s.below.Delete(ctx, old))
		}
	}
	return errors.Join(errs...)
}

// insert adds a record or renews it, and returns the names of those that made
// room. s.mu is held.
func (s *recordStore) insert(key, id string, at int64) (gone []ds.Key) {
	if r := s.find(key, id); r != nil {
		r.at = at
		r.unlink()
		r.by.link(r)
		return nil
	}
	if id != s.self {
		gone = s.makeRoom(key, s.peers[id])
	}
	a := s.peers[id]
	if a == nil {
		id = strings.Clone(id) // it is a part of a longer string
		a = &announcing{peer: id, own: id == s.self}
		a.ring.prev, a.ring.next = &a.ring, &a.ring
		s.peers[id] = a
		if !a.own {
			heap.Push(&s.most, a)
		}
	}
	rs, ok := s.keys[key]
	if ok {
		key = rs[0].key
	} else {
		key = strings.Clone(key)
	}
	r := &heldRecord{key: key, by: a, at: at}
	s.keys[key] = append(rs, r)
	a.link(r)
	s.count(a, 1)
	return gone
}

// makeRoom removes what a record of a peer, nil if it has none yet, displaces.
func (s *recordStore) makeRoom(key string, a *announcing) (gone []ds.Key) {
	if a != nil && a.n >= s.limits.peer {
		gone = append(gone, s.remove(a.ring.next))
	}
	if r := s.crowded(key); r != nil {
		gone = append(gone, s.remove(r))
	}
	if s.total >= s.limits.total {
		from := s.most[0]
		if a != nil && a.n == from.n { // none has more
			from = a
		}
		gone = append(gone, s.remove(from.ring.next))
	}
	return gone
}

// crowded returns the oldest record of a key that has its share, not counting
// those of this host.
func (s *recordStore) crowded(key string) (oldest *heldRecord) {
	rs := s.keys[key]
	if len(rs) < s.limits.key {
		return nil
	}
	n := 0
	for _, r := range rs {
		if r.by.own {
			continue
		}
		if n++; oldest == nil || r.at < oldest.at {
			oldest = r
		}
	}
	if n < s.limits.key {
		return nil
	}
	return oldest
}

// find returns a record, nil if there is none.
func (s *recordStore) find(key, id string) *heldRecord {
	for _, r := range s.keys[key] {
		if r.by.peer == id {
			return r
		}
	}
	return nil
}

// remove forgets a record and returns its name.
func (s *recordStore) remove(r *heldRecord) ds.Key {
	rs := s.keys[r.key]
	if len(rs) == 1 {
		delete(s.keys, r.key)
	} else {
		i := slices.Index(rs, r)
		rs[i] = rs[len(rs)-1]
		rs[len(rs)-1] = nil
		s.keys[r.key] = rs[:len(rs)-1]
	}
	r.unlink()
	a := r.by
	s.count(a, -1)
	if a.n == 0 {
		delete(s.peers, a.peer)
		if !a.own {
			heap.Remove(&s.most, a.index)
		}
	}
	return r.name()
}

// count notes that a peer has n records more.
func (s *recordStore) count(a *announcing, n int) {
	a.n += n
	if !a.own {
		s.total += n
		heap.Fix(&s.most, a.index)
	}
}

// Delete forgets a record.
func (s *recordStore) Delete(ctx context.Context, k ds.Key) error {
	key, id, _ := splitRecord(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.find(key, id); r != nil {
		s.remove(r)
	}
	if s.below == nil {
		return nil
	}
	return s.below.Delete(ctx, k)
}

// Query answers what kad-dht asks for: the records of one key, or all of them.
func (s *recordStore) Query(_ context.Context, q dsq.Query) (dsq.Results, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := strings.TrimPrefix(q.Prefix, records.ProvidersKeyPrefix); key != "" {
		return dsq.ResultsWithEntries(q, s.entries(key)), nil
	}
	keys := make([]string, 0, len(s.keys))
	for key := range s.keys {
		keys = append(keys, key)
	}
	var page []dsq.Entry
	next := func() (dsq.Result, bool) {
		for len(page) == 0 {
			if len(keys) == 0 {
				return dsq.Result{}, false
			}
			s.mu.Lock()
			page = s.entries(keys[0])
			s.mu.Unlock()
			keys = keys[1:]
		}
		e := page[0]
		page = page[1:]
		return dsq.Result{Entry: e}, true
	}
	return dsq.ResultsFromIterator(q, dsq.Iterator{Next: next}), nil
}

// entries returns the records of a key. s.mu is held.
func (s *recordStore) entries(key string) []dsq.Entry {
	rs := s.keys[key]
	out := make([]dsq.Entry, len(rs))
	for i, r := range rs {
		out[i] = dsq.Entry{Key: r.name().String(), Value: binary.AppendVarint(nil, r.at)}
	}
	return out
}

func (s *recordStore) Close() error { return nil } // below belongs to others

func (a *announcing) link(r *heldRecord) {
	r.prev, r.next = a.ring.prev, &a.ring
	r.prev.next, r.next.prev = r, r
}

func (r *heldRecord) unlink() { r.prev.next, r.next.prev = r.next, r.prev }

func (r *heldRecord) name() ds.Key {
	return ds.RawKey(records.ProvidersKeyPrefix + r.key + "/" + r.by.peer)
}

// splitRecord returns the key and the peer in the name of a record.
func splitRecord(k ds.Key) (key, id string, ok bool) {
	rest, ok := strings.CutPrefix(k.String(), records.ProvidersKeyPrefix)
	if !ok {
		return "", "", false
	}
	key, id, ok = strings.Cut(rest, "/")
	return key, id, ok && key != "" && id != "" && !strings.Contains(id, "/")
}

// mostFirst is a heap of peers, the one with most records first.
type mostFirst []*announcing

func (m mostFirst) Len() int           { return len(m) }
func (m mostFirst) Less(i, j int) bool { return m[i].n > m[j].n }
func (m mostFirst) Swap(i, j int) {
	m[i], m[j] = m[j], m[i]
	m[i].index, m[j].index = i, j
}
func (m *mostFirst) Push(x any) {
	a := x.(*announcing)
	a.index = len(*m)
	*m = append(*m, a)
}
func (m *mostFirst) Pop() any {
	old := *m
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*m = old[:len(old)-1]
	return a
}

// noCache takes the place of kad-dht's cache of looked up keys, which would keep
// what recordStore has displaced: it has all in memory itself.
type noCache struct{}

func (noCache) Add(any, any) bool              { return false }
func (noCache) Get(any) (any, bool)            { return nil, false }
func (noCache) Contains(any) bool              { return false }
func (noCache) Peek(any) (any, bool)           { return nil, false }
func (noCache) Remove(any) bool                { return false }
func (noCache) RemoveOldest() (any, any, bool) { return nil, nil, false }
func (noCache) GetOldest() (any, any, bool)    { return nil, nil, false }
func (noCache) Keys() []any                    { return nil }
func (noCache) Len() int                       { return 0 }
func (noCache) Purge()                         {}
func (noCache) Resize(int) int                 { return 0 }
