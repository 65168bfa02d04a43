package feed

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// Key is the public key of a feed: its name, and what its blocks are verified
// with. For a static feed it is the tree hash. Whoever knows it can read.
type Key [32]byte

// DiscoveryKey names a feed without giving the right to read it: BLAKE2b-256 of
// "hypercore" keyed by the public key. It is the topic on which peers meet.
type DiscoveryKey [32]byte

// ParseKey reads a key as people write it: 64 hex digits, with or without dat://
// or hyper:// before and a slash after. The error is ErrBadKey.
func ParseKey(s string) (Key, error) {
	t := strings.TrimSpace(s)
	for _, scheme := range []string{"dat://", "hyper://"} {
		if len(t) >= len(scheme) && strings.EqualFold(t[:len(scheme)], scheme) {
			t = t[len(scheme):]
			break
		}
	}
	t = strings.TrimSuffix(t, "/")
	var k Key
	if len(t) != hex.EncodedLen(len(k)) {
		return Key{}, fmt.Errorf("%w: %q has %d characters instead of 64 hex digits", ErrBadKey, s, len(t))
	}
	if _, err := hex.Decode(k[:], []byte(t)); err != nil {
		return Key{}, fmt.Errorf("%w: %q: %w", ErrBadKey, s, err)
	}
	return k, nil
}

// String returns 64 hex digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// IsZero reports whether k is unset.
func (k Key) IsZero() bool { return k == Key{} }

// MarshalText returns 64 hex digits.
func (k Key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText is ParseKey.
func (k *Key) UnmarshalText(b []byte) (err error) {
	*k, err = ParseKey(string(b))
	return err
}

// Discovery returns the discovery key.
func (k Key) Discovery() (d DiscoveryKey) {
	h, err := blake2b.New256(k[:])
	if err != nil {
		panic("feed: " + err.Error()) // only a key longer than 64 bytes fails
	}
	h.Write([]byte("hypercore"))
	h.Sum(d[:0])
	return d
}

// String returns 64 hex digits.
func (d DiscoveryKey) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns 64 hex digits.
func (d DiscoveryKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads 64 hex digits.
func (d *DiscoveryKey) UnmarshalText(b []byte) error {
	k, err := ParseKey(string(b))
	*d = DiscoveryKey(k)
	return err
}

// checkSecret returns the public key of a secret key in libsodium's layout: seed
// (32 bytes), public key (32 bytes).
func checkSecret(secret []byte) (Key, error) {
	if len(secret) != ed25519.PrivateKeySize {
		return Key{}, fmt.Errorf("%w: a secret key has %d bytes, this one %d", ErrBadKey, ed25519.PrivateKeySize, len(secret))
	}
	want := ed25519.NewKeyFromSeed(secret[:ed25519.SeedSize])
	if !want.Equal(ed25519.PrivateKey(secret)) {
		return Key{}, fmt.Errorf("%w: the halves of the secret key do not belong together", ErrBadKey)
	}
	return Key(secret[ed25519.SeedSize:]), nil
}
