package discovery

import (
	"encoding/hex"
	"fmt"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// topicPrefix opens the multihash of every topic: blake2b-256 as a varint and
// the length of the digest.
var topicPrefix = [4]byte{0xa0, 0xe4, 0x02, 32}

// Topic is what peers meet under: the discovery key of a feed, or any other
// 32 bytes that both sides derive from a secret or a name.
type Topic [32]byte

// String returns the topic as 64 hexadecimal digits.
func (t Topic) String() string { return hex.EncodeToString(t[:]) }

// Short returns the first eight hexadecimal digits, for messages.
func (t Topic) Short() string { return hex.EncodeToString(t[:4]) }

// Multihash returns the multihash under which the topic is announced.
func (t Topic) Multihash() mh.Multihash {
	m := make(mh.Multihash, 0, len(topicPrefix)+len(t))
	m = append(m, topicPrefix[:]...)
	return append(m, t[:]...)
}

// CID returns the content identifier of the topic.
func (t Topic) CID() cid.Cid { return cid.NewCidV1(cid.Raw, t.Multihash()) }

// topicOf is the inverse of Multihash; ok is false for any other key.
func topicOf(key []byte) (t Topic, ok bool) {
	if len(key) != len(topicPrefix)+len(t) || [4]byte(key[:4]) != topicPrefix {
		return t, false
	}
	return Topic(key[4:]), true
}

// ParseTopic reads 64 hexadecimal digits.
func ParseTopic(s string) (t Topic, err error) {
	if len(s) != 2*len(t) {
		return t, fmt.Errorf("discovery: a topic has %d hexadecimal digits, got %d characters", 2*len(t), len(s))
	}
	if _, err := hex.Decode(t[:], []byte(s)); err != nil {
		return Topic{}, fmt.Errorf("discovery: topic: %w", err)
	}
	return t, nil
}
