package discovery

import (
	"context"
	"sync"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// holders asks each server closest to t whether it has a record of p.
func (o *overlay) holders(ctx context.Context, t Topic, p peer.ID) (holders, asked int, err error) {
	key := t.Multihash()
	servers, err := o.kad.GetClosestPeers(ctx, string(key))
	if err != nil {
		return 0, 0, err
	}
	msgs, err := pb.NewProtocolMessenger(o.kad.MessageSender())
	if err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, server := range servers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
			defer cancel()
			provs, _, err := msgs.GetProviders(ctx, server, key)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			asked++
			for _, info := range provs {
				if info.ID == p {
					holders++
					break
				}
			}
		})
	}
	wg.Wait()
	return holders, asked, nil
}
