package node

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-hypercore/hypercore/protocol"
)

// What replication streams keep is reserved in the service's scope of libp2p's
// resource manager: protocol.MinStreamMemory for each when it begins, the rest as
// it grows (protocol.Memory). Together they may reserve Config.Memory, but who
// keeps much is refused earlier than who keeps little: a stream gets up to modest
// while four fifths of it suffice for all, up to large while three fifths do, and
// more while two fifths do. So remotes
// that drive their streams to the ceiling get in each other's way before they
// get in the way of a stream that does its work in little, and the last fifth is
// for streams that begin.
const (
	// modest is what a stream keeps that is busy with an honest peer and blocks
	// of ordinary size: a slab of 1 MiB that is read into, one or two that wait to
	// be stored, two pieces of 512 KiB that are written.
	modest = 4 << 20
	// large is what it keeps with blocks of the largest size.
	large = 24 << 20
	// peerMemory is the limit of one stream, and of one peer. The engine's own
	// ceiling is lower; the rest is because the resource manager takes the share
	// that a priority may use from each limit on the way.
	peerMemory = 3 * protocol.MaxStreamMemory
)

// scope is the part of a resource scope that holds memory.
type scope interface {
	ReserveMemory(size int, prio uint8) error
	ReleaseMemory(size int)
}

// scopeMemory lets the engine reserve what a stream keeps.
type scopeMemory struct {
	scope scope
	// graded: the limits are those of Config.resources. Those of an application's
	// host are taken as they are.
	graded bool
}

func (m scopeMemory) Reserve(n, total int) error {
	prio := network.ReservationPriorityAlways
	switch {
	case !m.graded:
	case total > large:
		prio = network.ReservationPriorityLow
	case total > modest:
		prio = network.ReservationPriorityMedium
	default:
		prio = network.ReservationPriorityHigh
	}
	return m.scope.ReserveMemory(n, prio)
}

func (m scopeMemory) Release(n int) { m.scope.ReleaseMemory(n) }

// begin reserves what a stream has from its begin.
func (m scopeMemory) begin() error {
	if err := m.scope.ReserveMemory(protocol.MinStreamMemory, network.ReservationPriorityAlways); err != nil {
		return fmt.Errorf("node: memory for a stream: %w", err)
	}
	return nil
}

// end gives that back.
func (m scopeMemory) end() { m.scope.ReleaseMemory(protocol.MinStreamMemory) }

// serviceMemory is the account of a stream that has no scope of its own, such as
// one over plain TCP. done ends it.
func (n *Node) serviceMemory() (m scopeMemory, done func(), err error) {
	var span network.ResourceScopeSpan
	err = n.host.Network().ResourceManager().ViewService(service, func(s network.ServiceScope) (err error) {
		span, err = s.BeginSpan()
		return err
	})
	if err != nil {
		return m, nil, fmt.Errorf("node: %s: %w", service, err)
	}
	m = scopeMemory{span, n.hosting.ours}
	if err := m.begin(); err != nil {
		span.Done()
		return m, nil, err
	}
	return m, span.Done, nil
}
