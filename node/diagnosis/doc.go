// Package diagnosis says in plain words how it stands with a node and a feed,
// and what can be done about it. It is pure: Facts in, a Verdict out. The
// facts come from a node (node.Node.Facts), from this process or over a
// control socket; what is done with the verdict is the caller's affair.
//
// # The chain
//
// For a reader to get blocks, each of these must hold, in this order. Judge
// walks them; each is a Step of the verdict:
//
//	listening    the node listens, or at least dials
//	outside      others can connect to it: by a public address, a mapped port,
//	             a hole punch, or a relay
//	nat          what its router does with ports (hole punching needs the same
//	             port for all peers on at least one of the two sides)
//	port map     whether the router maps a port when asked
//	relay        who keeps a place for it, so that others find a way in
//	bootstrap    the nodes through which the network is entered answer, and
//	             serve the network of this name
//	dht          there are nodes of the network to ask
//	lan          who is found by mDNS
//	feed         what is here of it
//	announced    how many nodes were told that this node has it, and until when
//	providers    who else is known to have it
//	peer         for each of them: dialled how, through a relay or not, by which
//	             protocol, whether it accepts that this node knows the key, and
//	             what it has
//	blocks       whether each missing block is at somebody who is connected
//
// A verdict is about the first broken link that matters: who has peers that
// serve does not care that a bootstrap node is gone, and who is in no network by
// choice that nothing is announced. Its Do says what to try.
// A step that holds says nothing to do.
package diagnosis
