// Package sim measures replication over networks that are simulated, in virtual
// time: what a path or a swarm allows, without the machine as the limit.
//
//	go test ./sim -run Swarm -v     one source, 16 readers, each with the same upload
//	go test ./sim -run Path -v      one replication over 1 Gbit/s with 100 ms to go and return
//
// Swarms run on libp2p over QUIC over simnet, which delays, queues and drops
// packets as links of the given rate do. The path is measured over QUIC in the
// same way, and over TLS and yamux on a byte pipe of the given rate and delay
// (pipe.go), which stands for a TCP connection that has found its window.
package sim
