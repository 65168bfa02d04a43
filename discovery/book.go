package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A DHT server stores who provides a key, but not where the provider is: that
// is in the memory of its host. The book keeps it over a restart; without it
// the records of former runs would be names without addresses.

const (
	// maxBook bounds the peers in the book, and bookPage those stored under
	// one key.
	maxBook  = 16384
	bookPage = 512
	// bookEvery is how often the book is written.
	bookEvery = 5 * time.Minute
	// bookAddrs bounds the addresses kept per peer.
	bookAddrs = 16
)

func bookKey(page int) ds.Key { return ds.NewKey(fmt.Sprintf("/book/%d", page)) }

// keepBook writes the book from time to time until the Discovery closes, and
// once more then.
func (d *Discovery) keepBook() {
	tick := time.NewTicker(bookEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			d.saveBook()
			return
		case <-tick.C:
			d.saveBook()
		}
	}
}

func (d *Discovery) saveBook() {
	var page []peer.AddrInfo
	pages := 0
	flush := func() error {
		v, err := json.Marshal(page)
		if err != nil {
			return err
		}
		page = page[:0]
		pages++
		return d.store.Put(context.Background(), bookKey(pages-1), v)
	}
	var err error
	for i, id := range d.host.Peerstore().PeersWithAddrs() {
		if err != nil || i == maxBook {
			break
		}
		if info := d.host.Peerstore().PeerInfo(id); id != d.host.ID() && len(info.Addrs) > 0 {
			info.Addrs = info.Addrs[:min(len(info.Addrs), bookAddrs)]
			if page = append(page, info); len(page) == bookPage {
				err = flush()
			}
		}
	}
	if err == nil && len(page) > 0 {
		err = flush()
	}
	for n := pages; err == nil && n < maxBook/bookPage; n++ {
		err = d.store.Delete(context.Background(), bookKey(n))
	}
	if err != nil {
		log.Warnw("addresses of providers not saved", "error", err)
	}
}

// loadBook tells the host the addresses of the last run.
func (d *Discovery) loadBook() {
	for n := range maxBook / bookPage {
		v, err := d.store.Get(d.ctx, bookKey(n))
		if errors.Is(err, ds.ErrNotFound) {
			return
		}
		var page []peer.AddrInfo
		if err == nil {
			err = json.Unmarshal(v, &page)
		}
		if err != nil {
			log.Warnw("addresses of providers not read", "error", err)
			return
		}
		for _, info := range page {
			d.host.Peerstore().AddAddrs(info.ID, info.Addrs, ownValidity)
		}
	}
}
