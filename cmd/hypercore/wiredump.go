package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/protocol/wire/dump"
)

const wireDumpHelp = `
Decode one recorded direction of a replication stream, from its first byte: one line per
frame with where it begins, its length, channel, message and fields. FILE "-" is standard
input. The recording is of the bytes inside of TCP, or inside of the libp2p stream.

--key is the public key of the first feed on the stream; without it only streams that are
not encrypted can be read. --native reads the protocol /hypercore/replicate/1.0.0, whose
bytes are not encrypted once more inside of libp2p, instead of hypercore 6's.

  hypercore wire-dump a-to-b.bin --key 9718a1ff...
  hypercore wire-dump - --hex --whole --key 9718a1ff...
  hypercore wire-dump native.bin --native --json

A message that cannot be read is shown with what is wrong with it. Exit code 2 if there
was one, or if the recording ends within a frame; 1 if the key is of another feed.

--json: one line per frame: {offset, length, channel, message, fields, error}; fields maps
names to values as the text shows them`

func newWireDump(a *app) *cobra.Command {
	var key string
	var o dump.Options
	var isHex bool
	cmd := &cobra.Command{
		Use:   "wire-dump FILE --key KEY",
		Short: "Decode a recorded replication stream",
		Long:  text(wireDumpHelp),
		Args:  args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if key != "" {
				k, err := control.ParseKey(key)
				if err != nil {
					return err
				}
				o.Key = (*[32]byte)(&k)
			}
			in := a.in
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			if isHex {
				in = hex.NewDecoder(noSpace{in})
			}
			return a.wireDump(c, in, args[0], o)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "public key of the first feed, if the stream is encrypted")
	cmd.Flags().BoolVar(&o.Native, "native", false, "the stream is /hypercore/replicate/1.0.0")
	cmd.Flags().BoolVar(&o.Whole, "whole", false, "show keys, hashes and values whole")
	cmd.Flags().BoolVar(&isHex, "hex", false, "the recording is in hex digits; white space is skipped")
	return cmd
}

// noSpace takes white space out of what is read.
type noSpace struct{ r io.Reader }

func (s noSpace) Read(p []byte) (int, error) {
	for {
		n, err := s.r.Read(p)
		k := 0
		for _, b := range p[:n] {
			if !unicode.IsSpace(rune(b)) {
				p[k] = b
				k++
			}
		}
		if k > 0 || err != nil || len(p) == 0 {
			return k, err
		}
	}
}

// frameJSON is a frame as JSON.
type frameJSON struct {
	Offset  uint64            `json:"offset"`
	Length  uint64            `json:"length"`
	Channel uint64            `json:"channel"`
	Message string            `json:"message"`
	Fields  map[string]string `json:"fields,omitempty"`
	Error   string            `json:"error,omitempty"`
}

func (a *app) wireDump(c *cobra.Command, in io.Reader, name string, o dump.Options) error {
	faults := uint64(0)
	for e, err := range dump.Entries(in, o) {
		switch {
		case errors.Is(err, dump.ErrKeyNeeded):
			return hint(usagef("%s is encrypted: the public key of its first feed is needed", name), "%s", elsewhere("wire-dump", name, "--key", "KEY"))
		case errors.Is(err, dump.ErrWrongKey):
			return hint(fmt.Errorf("%s: the key is not that of the first feed", name), "the first line shows the discovery key of that feed; hypercore info shows that of a feed")
		case err != nil:
			return fmt.Errorf("%s: %w: %w", name, err, errInvalid)
		case c.Context().Err() != nil:
			return c.Context().Err()
		}
		if e.Err != nil {
			faults++
		}
		if !a.json {
			err = a.print("%s", e)
		} else {
			j := frameJSON{Offset: e.Offset, Length: e.Length, Channel: e.Channel, Message: e.Message}
			if e.Err != nil {
				j.Error = e.Err.Error()
			}
			for _, f := range e.Fields {
				if j.Fields == nil {
					j.Fields = map[string]string{}
				}
				j.Fields[f.Name] = f.Value
			}
			err = a.emit(j)
		}
		if err != nil {
			return err
		}
	}
	if faults > 0 {
		return fmt.Errorf("%s: %s cannot be read: %w", name, plural(faults, "message"), errInvalid)
	}
	return nil
}
