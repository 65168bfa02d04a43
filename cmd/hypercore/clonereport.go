package main

import (
	"context"
	"time"
)

func (cl *cloning) emit(name string, s cloneState) error {
	e := event{Event: name, Key: cl.o.key.String(), Length: &s.length, Blocks: &s.have, Bytes: &s.bytes, Received: &s.receive, Peers: &s.peers}
	if name == "complete" {
		sec := time.Since(cl.start).Seconds()
		e.Directory, e.Sent, e.Seconds = cl.dir, &s.sent, &sec
	}
	return cl.a.emit(e)
}

// complete makes sure that everything is on the disk and says what was done.
func (cl *cloning) complete(ctx context.Context, s cloneState) error {
	if err := cl.f.Sync(ctx); err != nil {
		return err
	}
	if cl.a.json {
		return cl.emit("complete", s)
	}
	a, took := cl.a, time.Since(cl.start)
	blocks, bytes := s.stats.DownloadedBlocks, s.stats.DownloadedBytes
	switch {
	case s.length == 0:
		a.say("complete: the feed is empty so far")
	case s.want == 0:
		a.say("complete: the feed has only %s, none of them in the range", plural(s.length, "block"))
	case s.lacks():
		a.say("nobody who was reached has more: %s", s.share())
	case blocks == 0:
		a.say("complete: all %s were here already", plural(s.want, "block"))
	default:
		a.say("complete: %s, %s in %s (%s/s)", plural(blocks, "block"), bytesText(bytes), durationText(took), bytesText(uint64(float64(bytes)/took.Seconds())))
	}
	if r := cl.o.cut(s.length); r != "" && s.want > 0 {
		a.say("note: the feed has only %s: of --range %s the rest does not exist", plural(s.length, "block"), r)
	}
	a.say("moved: %s received, %s sent, proofs and encryption included", bytesText(s.receive), bytesText(s.sent))
	if cl.o.live {
		a.say("following; Ctrl-C ends. Elsewhere: %s", a.command("cat", cl.name, "--live"))
		return nil
	}
	if !cl.terse {
		cl.next(s)
	}
	return nil
}

// next says what can be done with the copy.
func (cl *cloning) next(s cloneState) {
	a := cl.a
	a.say("next: %s", a.command("verify", cl.name))
	if s.want > 0 {
		a.say("      %s > FILE", a.command("cat", append([]string{cl.name}, cl.o.firstRange(s.length)...)...))
	}
	a.say("      %s", a.command("seed", append([]string{cl.name}, cl.n.flags.again()...)...))
}

// firstRange is what cat must be told to write the first of the ranges that
// were wanted of a feed of a length; nothing when all was.
func (o *cloneOptions) firstRange(length uint64) []string {
	for _, r := range o.wanted {
		end := min(r.End, length)
		if r.End == 0 {
			end = length
		}
		if r.Start < end {
			return []string{"--range", rangeText(r.Start, end)}
		}
	}
	return nil
}

// cut is the first of the ranges that a feed of a length ends in the middle of, or before.
func (o *cloneOptions) cut(length uint64) string {
	for _, r := range o.wanted {
		if r.End > length || r.End == 0 && r.Start > length {
			return rangeText(r.Start, r.End)
		}
	}
	return ""
}
