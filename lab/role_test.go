//go:build linux

package lab

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/node"
)

// roleEnv makes this test binary a program of the lab, run in a space.
const roleEnv = labEnv + "_ROLE"

var roles = map[string]func(args []string) error{
	"find": findRole,
	"liar": liarRole,
}

// playRole runs the role asked for, if any, and ends the process.
func playRole() {
	name := os.Getenv(roleEnv)
	if name == "" {
		return
	}
	if err := roles[name](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// role starts this binary in the space.
func (s *space) role(role string, args ...string) *process {
	s.w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.w.t.Fatal(err)
	}
	return s.start(role, []string{roleEnv + "=" + role, "HYPERCORE_NETWORK=none"}, self, args...)
}

// findRole looks topics up, given in hex, on the DHT that the nodes of a LAN
// make among themselves. For each found it prints the topic and a peer.
// (What mDNS finds is peers, not topics.)
func findRole(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n, err := node.New(ctx, node.Config{Network: "none", MDNS: node.On, PortMap: node.Off})
	if err != nil {
		return err
	}
	defer n.Close()
	began := time.Now()
	for _, arg := range args {
		b, err := hex.DecodeString(arg)
		if err != nil || len(b) != len(discovery.Topic{}) {
			return fmt.Errorf("%q is no topic", arg)
		}
		info, ok := <-n.Discovery().Lookup(ctx, discovery.Topic(b))
		if !ok {
			return fmt.Errorf("%s: not found", arg)
		}
		fmt.Println(arg, info.ID, time.Since(began).Round(time.Millisecond))
	}
	return nil
}
