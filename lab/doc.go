// Package lab runs the command in networks made of Linux network namespaces:
// homes behind NAT routers, a LAN without internet, cables that are pulled.
// It has tests only.
//
//	HYPERCORE_LAB=1 go test ./lab            # as root
//	HYPERCORE_LAB=1 go test ./lab -update    # and write the tables of docs/networks.md
//
// It needs root, /dev/net/tun, and the commands ip (iproute2), nft (nftables),
// conntrack and miniupnpd. Without HYPERCORE_LAB the tests are skipped; with
// it what is missing is an error. HYPERCORE_LAB_KEEP=DIR keeps what every
// process wrote.
//
// # How a network is made
//
// A space is a network namespace: a host or a router, with the kernel's own
// TCP, UDP and NAT. Spaces are joined by a segment, an Ethernet switch inside
// the test that delays frames, limits their rate, counts them and can be
// unplugged: latency matters for hole punching, and what nobody sends cannot
// be shown by asking the sender. No segment is connected to anything but
// spaces, so no packet of the lab leaves it.
//
//	segment "internet": 45.0.0.0/24, 10 ms from each subscriber to it
//	  |                 |                        |
//	boot 45.0.0.1     router a 45.0.0.11       router b 45.0.0.12
//	(bootstrap)         | 192.168.1.0/24         | 10.0.2.0/24
//	                  host a                   host b
//	                  (seed)                   (clone)
//
// Addresses are from ranges that libp2p takes for public ones; those reserved
// for documentation are not among them.
//
// Names of namespaces carry the process that made them; what a test that was
// killed left behind is removed by the next run.
package lab
