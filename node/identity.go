package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// identityFile holds the private key as libp2p marshals it, 68 bytes for
// Ed25519: 08 01 12 40, seed, public key.
const identityFile = "identity"

// maxIdentity bounds what is read as an identity; RSA keys of 4096 bits take
// about 2.4 KiB.
const maxIdentity = 8 << 10

// Identity returns the peer ID that a node with Config.Dir dir has, making
// the key if there is none. No node is started and the directory may be in
// use.
func Identity(dir string) (peer.ID, error) {
	k, err := identity(dir)
	if err != nil {
		return "", err
	}
	return peer.IDFromPrivateKey(k)
}

// identity loads the key in dir or makes one; with an empty dir it is new.
func identity(dir string) (crypto.PrivKey, error) {
	if dir == "" {
		k, _, err := crypto.GenerateEd25519Key(rand.Reader)
		return k, err
	}
	path := filepath.Join(dir, identityFile)
	k, err := readIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, _, err = crypto.GenerateEd25519Key(rand.Reader); err != nil {
		return nil, fmt.Errorf("node: making an identity: %w", err)
	}
	raw, err := crypto.MarshalPrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("node: making an identity: %w", err)
	}
	if err := writeNew(path, raw); errors.Is(err, fs.ErrExist) {
		return readIdentity(path) // another process was first
	} else if err != nil {
		return nil, fmt.Errorf("node: storing the identity: %w", err)
	}
	return k, nil
}

func readIdentity(path string) (crypto.PrivKey, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxIdentity {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrIdentity, path, st.Size())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("node: reading the identity: %w", err)
	}
	k, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrIdentity, path, err)
	}
	return k, nil
}

// writeNew makes a file only its owner can read, whole or not at all and
// durable; fs.ErrExist when there is one.
func writeNew(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	// Link, unlike rename, never replaces the identity somebody else stored.
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
