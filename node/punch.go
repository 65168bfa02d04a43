package node

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
)

// maxPunches bounds the peers whose hole punches are remembered.
const maxPunches = 1024

// Punch tells how hole punching with one peer went last.
type Punch struct {
	At       time.Time // of the last thing that happened; zero: never tried
	Running  bool
	OK       bool   // a direct connection came of it
	Attempts int    // since the first
	Err      string // why the last one failed
}

// punches remembers the hole punches of the host. It is the tracer of
// libp2p's service, called from its goroutines.
type punches struct {
	mu sync.Mutex // guards m
	m  map[peer.ID]Punch
}

var _ holepunch.EventTracer = (*punches)(nil)

// Trace takes an event of the service.
func (p *punches) Trace(e *holepunch.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.m[e.Remote]
	if !known && len(p.m) >= maxPunches {
		for id := range p.m { // any
			delete(p.m, id)
			break
		}
	}
	switch v := e.Evt.(type) {
	case *holepunch.DirectDialEvt: // the peer was dialled without a punch
		s.OK, s.Err, s.Running = v.Success, v.Error, false
	case *holepunch.ProtocolErrorEvt:
		s.OK, s.Err, s.Running = false, v.Error, false
	case *holepunch.StartHolePunchEvt:
		s.Running = true
	case *holepunch.HolePunchAttemptEvt:
		s.Attempts++
	case *holepunch.EndHolePunchEvt:
		s.OK, s.Err, s.Running = v.Success, v.Error, false
	default:
		return
	}
	s.At = time.Unix(0, e.Timestamp)
	if p.m == nil {
		p.m = map[peer.ID]Punch{}
	}
	p.m[e.Remote] = s
}

// of returns what is known of a peer.
func (p *punches) of(id peer.ID) Punch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[id]
}
