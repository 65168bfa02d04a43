// Package wire is the byte format of a replication stream: frames, messages, the run-length coded
// bitfield and the XSalsa20 stream of hypercore 6 (hypercore-protocol 6.12), and the additions of
// the native dialect. Bytes in, values out: it knows no feeds, no peers and no connections.
package wire
