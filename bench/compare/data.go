package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// dataset is Count blocks of Block bytes in File, random and always the same.
type dataset struct {
	File  string `json:"file,omitempty"`
	Block int    `json:"block"`
	Count int    `json:"count"`
	// Sum is the SHA-256 of File in hex; only the parent knows it.
	Sum string `json:"-"`
}

func (d dataset) bytes() int64 { return int64(d.Block) * int64(d.Count) }

// make writes the file, unless it is there, and fills File and Sum.
func (d *dataset) make(dir string) error {
	d.File = filepath.Join(dir, fmt.Sprintf("%dx%d", d.Block, d.Count))
	if sum, err := os.ReadFile(d.File + ".sha256"); err == nil {
		if st, err := os.Stat(d.File); err == nil && st.Size() == d.bytes() {
			d.Sum = string(sum)
			return nil
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.Create(d.File)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, h), 1<<20)
	src := rand.NewChaCha8([32]byte{byte(d.Block), byte(d.Block >> 8), byte(d.Block >> 16), 'b', 'e', 'n', 'c', 'h'})
	if _, err := io.CopyN(w, src, d.bytes()); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	d.Sum = hex.EncodeToString(h.Sum(nil))
	return os.WriteFile(d.File+".sha256", []byte(d.Sum), 0o644)
}

// prefixSum is the SHA-256 of the first n blocks.
func (d dataset) prefixSum(n int) (string, error) {
	if n == d.Count && d.Sum != "" {
		return d.Sum, nil
	}
	return fileSum(d.File, int64(n)*int64(d.Block))
}

// blocks returns the data set in memory, cut into blocks.
func (d dataset) blocks() ([][]byte, error) {
	b, err := os.ReadFile(d.File)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != d.bytes() {
		return nil, fmt.Errorf("%s: %d bytes, expected %d", d.File, len(b), d.bytes())
	}
	list := make([][]byte, d.Count) // one behind the other in memory, as a feed.Writer has them
	for i := range list {
		list[i] = b[i*d.Block : (i+1)*d.Block]
	}
	return list, nil
}

// block reads one block.
func (d dataset) block(i int) ([]byte, error) {
	f, err := os.Open(d.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, d.Block)
	_, err = f.ReadAt(b, int64(i)*int64(d.Block))
	return b, err
}

// eachBatch reads the file batch by batch; the blocks are good until the next one.
func (d dataset) eachBatch(batch int, do func(blocks [][]byte) error) error {
	f, err := os.Open(d.File)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, batch*d.Block)
	list := make([][]byte, 0, batch)
	for left := d.Count; left > 0; left -= len(list) {
		n := min(batch, left)
		if _, err := io.ReadFull(f, buf[:n*d.Block]); err != nil {
			return fmt.Errorf("%s: %w", d.File, err)
		}
		list = list[:0]
		for i := range n {
			list = append(list, buf[i*d.Block:(i+1)*d.Block])
		}
		if err := do(list); err != nil {
			return err
		}
	}
	return nil
}

// fileSum is the SHA-256 of the first n bytes of a file; n < 0 takes all of it.
func fileSum(name string, n int64) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if n < 0 {
		_, err = io.Copy(h, f)
	} else if _, err = io.CopyN(h, f, n); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}
