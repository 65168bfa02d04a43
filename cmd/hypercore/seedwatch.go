package main

import (
	"context"
	"time"

	"github.com/go-hypercore/hypercore/node/diagnosis"
)

// What seed says while it runs.

// watchSeeds tells what happens until ctx ends.
func (a *app) watchSeeds(ctx context.Context, n *running, feeds []*seeded) error {
	tick := time.NewTicker(seedEvery)
	defer tick.Stop()
	start, explained := time.Now(), false
	lastTraffic := start
	for {
		select {
		case <-ctx.Done():
			for _, s := range feeds {
				if err := a.tellSent(s); err != nil {
					return err
				}
			}
			return nil
		case <-tick.C:
		}
		look := time.Now()
		traffic := look.Sub(lastTraffic) >= trafficEvery
		if traffic {
			lastTraffic = look
		}
		waiting := 0
		for _, s := range feeds {
			if err := a.watchSeed(n, s, traffic); err != nil {
				return err
			}
			if !s.announced {
				waiting++
			}
		}
		if waiting > 0 && !explained && time.Since(start) > stallAfter {
			explained = true
			a.sayUnannounced(ctx, n, feeds)
		}
		tick.Reset(max(seedEvery, lookRests*time.Since(look)))
	}
}

// sayUnannounced says why feeds are not announced yet, once for all that have one
// reason. That readers come all the same is none.
func (a *app) sayUnannounced(ctx context.Context, n *running, feeds []*seeded) {
	var reasons []string
	of := map[string][]string{}
	for _, s := range feeds {
		if s.announced {
			continue
		}
		v := n.judge(ctx, s.f.Key(), s.arg)
		if v.State == diagnosis.OK {
			continue
		}
		why := v.Line()
		if of[why] == nil {
			reasons = append(reasons, why)
		}
		of[why] = append(of[why], s.arg)
	}
	for _, why := range reasons {
		who := of[why][0] + " is"
		if more := len(of[why]) - 1; more > 0 {
			who = of[why][0] + " and " + plural(uint64(more), "other feed") + " are"
		}
		a.say("%s not announced yet: %s", who, why)
	}
}

func (a *app) watchSeed(n *running, s *seeded, traffic bool) error {
	key := s.f.Key().String()
	if !s.announced {
		if holders := announcedOn(s.join); holders > 0 {
			s.announced = true
			if a.json {
				if err := a.emit(event{Event: "announced", Key: key}); err != nil {
					return err
				}
			} else {
				a.say("%s: announced on the network (%s)", s.arg, plural(uint64(holders), "node"))
			}
		}
	}
	if count := len(n.Engine().Peers(s.dk)); count != s.peers {
		if a.json {
			if err := a.emit(event{Event: "peers", Key: key, Peers: &count}); err != nil {
				return err
			}
		} else {
			a.say("%s: %s connected", s.arg, plural(uint64(count), "peer"))
		}
		s.peers = count
	}
	if traffic {
		return a.tellSent(s)
	}
	return nil
}

// tellSent says what was sent since the last time. The feed counts it: peers come and
// go in between.
func (a *app) tellSent(s *seeded) error {
	st := s.f.Stats()
	blocks, bytes := st.UploadedBlocks-s.blocks, st.UploadedBytes-s.bytes
	if blocks == 0 {
		return nil
	}
	s.blocks, s.bytes = st.UploadedBlocks, st.UploadedBytes
	if a.json {
		return a.emit(event{Event: "sent", Key: s.f.Key().String(), Blocks: &blocks, Bytes: &bytes})
	}
	a.say("%s: %s, %s sent", s.arg, plural(blocks, "block"), bytesText(bytes))
	return nil
}
