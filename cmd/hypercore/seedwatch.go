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
		if traffic { // not each time: thousands of feeds are asked about
			if err := a.watchAnnounced(ctx, n, feeds, look); err != nil {
				return err
			}
		}
		if waiting > 0 && !explained && time.Since(start) > stallAfter {
			explained = true
			a.sayUnannounced(ctx, n, feeds)
		}
		tick.Reset(max(seedEvery, lookRests*time.Since(look)))
	}
}

// sayUnannounced says why feeds are not announced yet. That readers come all the same is
// no reason.
func (a *app) sayUnannounced(ctx context.Context, n *running, feeds []*seeded) {
	var r reasons
	for _, s := range feeds {
		if s.announced {
			continue
		}
		if v := n.judge(ctx, s.f.Key(), s.arg); v.State != diagnosis.OK {
			r.add(v.Line(), s.arg)
		}
	}
	r.say(a, "not announced yet")
}

// reasons are what is to be said of feeds, once for all that have one reason.
type reasons struct {
	why []string            // in order
	of  map[string][]string // reason: feeds
}

func (r *reasons) add(why, arg string) {
	if r.of == nil {
		r.of = map[string][]string{}
	}
	if r.of[why] == nil {
		r.why = append(r.why, why)
	}
	r.of[why] = append(r.of[why], arg)
}

func (r *reasons) say(a *app, what string) {
	for _, why := range r.why {
		who := r.of[why][0] + " is"
		if more := len(r.of[why]) - 1; more > 0 {
			who = r.of[why][0] + " and " + plural(uint64(more), "other feed") + " are"
		}
		a.say("%s %s: %s", who, what, why)
	}
}

// watchAnnounced says when nobody has the announcement of a feed any more, and when somebody
// has again. A connection that is lost for a moment is nothing to tell.
func (a *app) watchAnnounced(ctx context.Context, n *running, feeds []*seeded, now time.Time) error {
	var r reasons
	for _, s := range feeds {
		if !s.announced {
			continue
		}
		holders := announcedNow(s.join, now)
		switch {
		case holders > 0:
			if s.lostTold {
				if err := a.tellAnnounced(s, holders); err != nil {
					return err
				}
			}
			s.lost, s.lostTold = time.Time{}, false
		case s.lost.IsZero():
			s.lost = now
		case !s.lostTold:
			v := n.judge(ctx, s.f.Key(), s.arg)
			if v.State != diagnosis.Bad {
				continue
			}
			s.lostTold = true
			if !a.json {
				r.add(v.Line(), s.arg)
			} else if err := a.emit(event{Event: "unannounced", Key: s.f.Key().String(), Text: v.Text, Do: v.Do}); err != nil {
				return err
			}
		}
	}
	r.say(a, "not announced any more")
	return nil
}

func (a *app) tellAnnounced(s *seeded, holders int) error {
	if a.json {
		return a.emit(event{Event: "announced", Key: s.f.Key().String()})
	}
	a.say("%s: announced on the network (%s)", s.arg, plural(uint64(holders), "node"))
	return nil
}

// watchTrouble says when a feed begins to take nothing, and when it takes blocks again.
func (a *app) watchTrouble(s *seeded) error {
	err := s.f.Stats().Err
	why := ""
	if err != nil {
		why = message(err)
	}
	if withoutDigits(why) == withoutDigits(s.trouble) { // how far it is behind is no news
		return nil
	}
	s.trouble = why
	key := s.f.Key().String()
	switch {
	case err == nil && a.json:
		return a.emit(event{Event: "well", Key: key})
	case err == nil:
		a.say("%s takes blocks again", s.arg)
		return nil
	}
	do := a.hintFor(err, s.arg)
	if a.json {
		return a.emit(event{Event: "trouble", Key: key, Text: why, Do: do})
	}
	a.warn("%s takes nothing any more: %s", s.arg, why)
	if do != "" {
		a.warn("  → %s", do)
	}
	return nil
}

// watchLost says when blocks were given up: a reader has complained, and the disk has
// something else than it was given.
func (a *app) watchLost(s *seeded) error {
	lost := s.f.Stats().Lost
	blocks := lost - s.rotten
	if blocks == 0 {
		return nil
	}
	s.rotten = lost
	why := plural(blocks, "block") + " on this disk not what was signed any more, and missing now"
	do := "look at the disk; without this seed, " + a.command("repair", s.arg) + " with flags of NET fetches from peers what they have of it"
	if a.json {
		return a.emit(event{Event: "lost", Key: s.f.Key().String(), Blocks: &blocks, Text: why, Do: do})
	}
	a.warn("%s: %s", s.arg, why)
	a.warn("  → %s", do)
	return nil
}

func (a *app) watchSeed(n *running, s *seeded, traffic bool) error {
	key := s.f.Key().String()
	if !s.announced {
		if holders := announcedOn(s.join); holders > 0 {
			s.announced = true
			if err := a.tellAnnounced(s, holders); err != nil {
				return err
			}
		}
	}
	if err := a.watchTrouble(s); err != nil {
		return err
	}
	if err := a.watchLost(s); err != nil {
		return err
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
