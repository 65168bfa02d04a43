package schedule

// Room is how many flights a peer's queues have room for.
func Room(p *Peer) (flights, lost int) { return len(p.flights.buf), len(p.lost.buf) }

// MaxLostFlights bounds those that were given to others.
const MaxLostFlights = maxLostFlights
