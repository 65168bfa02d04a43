// Package schedule decides what to ask whom next. It is a table and pure
// functions over it: which blocks are wanted, who has them, which are in
// flight, how fast each peer answers. No I/O, no goroutines, no clock: time
// comes in with each call, as the time since any fixed moment, so the same
// calls give the same answers.
//
// # A block's life in the table
//
//	         Plan, Tick                Arrived
//	free ───────────────► in flight ─────────────► arrived (the caller verifies and stores it)
//	 ▲                     at 1 or 2 peers            │                    │
//	 │◄────────────────────────┘                      │ Release            │ stored
//	 │  Expired, Unhave, Refused, Drop, RemovePeer    │ (could not store)  ▼
//	 │◄───────────────────────────────────────────────┘                  here
//	 │◄──────────────────────────────────────────────────────────────────┘ Gone (cleared)
//
// One bit per block tells free (0) from all other states (1); a run of blocks
// costs words, not bits, and whole pages of ones or zeros cost nothing. What is
// in flight at a peer is a queue of words (64 blocks each) in the order they
// were asked, so an answer that comes in order is found at once.
//
// # Order
//
//  1. Urgent blocks, most urgent first: each goes to the peer that is expected
//     to answer it first, even somewhat above that peer's window.
//  2. Linear ranges, in order.
//  3. Other ranges, rarest first among the blocks that the peer has. The rarest
//     are divided among the members of the swarm that lack them, as far as they
//     have names (share.go); other equally rare ones are taken in runs, from a
//     place that differs from table to table. So the members fetch different
//     blocks from one source.
//  4. In Tick: an urgent block (or the head of a linear range) that is late is
//     asked of a second peer; a peer with nothing to do is asked for what is
//     still in flight elsewhere (end game). Never more than two copies.
//
// # Window
//
// In flight at a peer is at most window = gain · rate · (rtt + 25 ms), in blocks
// of the average size: enough to keep a path of any length full, and not so much
// that an urgent block waits long behind what was asked before it, or that the
// members of a swarm ask one source for the same. rate is the highest of the
// last rounds, rtt the lowest answer time seen, gain 2 while the rate grows and
// 1.25 once it does not.
//
// # Silence
//
// hypercore 6 does not answer a request for a block it has lost. A request that
// was overtaken (later ones were answered) and is older than Limits.Timeout is
// given to others, and the peer counts as not having the block. A peer that
// answers nothing for that long is stalled: all of it goes to others and it is
// only probed, with one block at a time, until it answers. While an answer is coming
// in that takes as long (Progress), only what others have goes to them, all but the
// oldest request, and the peer is asked for nothing more until then.
//
// A peer that refuses for now (NotNow) keeps its blocks and would be first again
// for the same ones: it is left alone for 100 ms, and twice as long each time, up to
// 5 s, until it answers. Others are asked meanwhile. At 5 s each refusal counts as a
// stall.
package schedule
