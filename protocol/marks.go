package protocol

import "github.com/go-hypercore/hypercore/feed/merkle"

// remember marks what the remote has once it has taken an answer in: the blocks
// and what they make up, not the nodes that came with them. Native remotes take
// every answer in, in order; hypercore 6 may not.
func (c *channel) remember(start, n uint64) {
	if start != c.nextBlock {
		c.s.marked.jump(c)
	}
	c.nextBlock = start + n
	merkle.MarkRun(everything{}, &c.marks, start, n)
}

// claims makes room for what the digest of a V6 request is going to mark: a few
// nodes, in other pages after some thousand blocks even if they come in order.
func (c *channel) claims(index uint64) {
	if c.s.o.Dialect != V6 {
		return
	}
	if index != c.nextBlock || index%(pageBlocks/2) == 0 {
		c.s.marked.jump(c)
	}
	c.nextBlock = index + 1
}

// marked is what a stream remembers of all that it has sent out of order. It
// belongs to the serving goroutine.
type marked struct {
	jumps    int                   // since it was forgotten
	channels map[*channel]struct{} // with marks from then on
}

// jump makes room for marks elsewhere, forgetting all when there are too many, or
// no memory: proofs are longer then.
func (m *marked) jump(c *channel) {
	mem := &c.s.mem
	if m.jumps++; m.jumps > marksReset || mem.take(markCost) != nil {
		for c := range m.channels {
			c.marks.Clear()
		}
		c.marks.Clear()
		mem.give((m.jumps - 1) * markCost)
		*m = marked{}
	}
	if m.channels == nil {
		m.channels = map[*channel]struct{}{}
	}
	m.channels[c] = struct{}{}
}

// everything is a tree of which all nodes are here, as it is below blocks that
// were read from it.
type everything struct{}

func (everything) Get(uint64) bool { return true }
