package protocol

import (
	"crypto/subtle"
	"encoding/binary"

	"github.com/go-hypercore/hypercore/feed"
	"golang.org/x/crypto/blake2b"
)

// capabilityDomain separates this use of the public key from all others.
const capabilityDomain = "hypercore/replicate/1.0.0 capability"

// capability proves to receiver that sender knows the public key, without
// sending it:
//
//	BLAKE2b-256, key = public key, over
//	  domain | u16be(len) sender ID | u16be(len) receiver ID | nonce (24 bytes)
//
// Both IDs are those the transport has authenticated, so a capability that was
// recorded or relayed proves nothing for anybody else.
func capability(key feed.Key, sender, receiver, nonce []byte) (c [32]byte) {
	h, err := blake2b.New256(key[:])
	if err != nil {
		panic("protocol: " + err.Error()) // only a key longer than 64 bytes fails
	}
	h.Write([]byte(capabilityDomain))
	for _, id := range [][]byte{sender, receiver} {
		var n [2]byte
		binary.BigEndian.PutUint16(n[:], uint16(len(id)))
		h.Write(n[:])
		h.Write(id)
	}
	h.Write(nonce)
	h.Sum(c[:0])
	return c
}

// capable checks a capability in constant time.
func capable(got []byte, want [32]byte) bool {
	return len(got) == len(want) && subtle.ConstantTimeCompare(got, want[:]) == 1
}
