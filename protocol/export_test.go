package protocol

import (
	"fmt"
	"runtime"
)

// SetNonce replaces the random nonce of a stream that does not run yet.
func SetNonce(s *Stream, fn func() []byte) { s.nonce = fn }

// Capability is what a Feed message of the native dialect carries.
var Capability = capability

// Debug describes a swarm.
func Debug(e *Engine, dk [32]byte) string {
	sw := e.swarm(dk)
	sw.mu.Lock()
	defer sw.mu.Unlock()
	out := fmt.Sprintf("len %d demand %+v cross %v head %v length %d halted %v resume %v now %v ticking %v\n", sw.f.Len(), sw.demand, sw.cross, sw.head, sw.length, sw.halted, sw.resume, sw.now(), sw.ticking)
	for _, c := range sw.channels {
		out += fmt.Sprintf("  %s begun %v length %d regions %v unwanted %d specials %v probe %v wanted %v", c.s.o.Label, c.begun, c.length, c.regions, c.unwanted, c.specials, c.probe, c.wanted.Load())
		if c.peer != nil {
			n := sw.f.NextMissing(0)
			out += fmt.Sprintf(" inflight %d window %d stalled %v; missing %d has %v announced %d", c.peer.InFlight(), c.peer.Window(), c.peer.Stalled(), n, c.peer.Has(n), c.peer.Announced())
		}
		out += "\n"
	}
	return out
}

// Announced is the map of the only remote of a feed, n bytes of it.
func Announced(e *Engine, dk [32]byte, n int) []byte {
	sw := e.swarm(dk)
	sw.mu.Lock()
	defer sw.mu.Unlock()
	bits := make([]byte, n)
	for i := range uint64(8 * n) {
		if sw.channels[0].peer.Has(i) {
			bits[i/8] |= 0x80 >> (i % 8)
		}
	}
	return bits
}

// Maps is what the maps of a stream's remote cost.
func Maps(s *Stream) int64 { return s.maps.Load() }

// MaxMaps is their bound.
const MaxMaps = maxMaps

// Cores is how many cores there are.
func Cores() int { return runtime.GOMAXPROCS(0) }

// Numbers is how many channel numbers a stream has used.
func Numbers(s *Stream) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}
