package node

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// portFile remembers the port of a node without Config.Listen: the same one
// after a restart keeps announced addresses, port mappings and firewall rules
// valid.
const portFile = "port"

const (
	// Ports are chosen from the dynamic range (RFC 6335), where nothing is
	// registered.
	firstPort, lastPort = 49152, 65535
	portTries           = 20
)

// defaultListen returns the addresses of a node without Config.Listen.
func defaultListen(dir string) []ma.Multiaddr {
	port := 0
	if dir != "" {
		if b, err := os.ReadFile(filepath.Join(dir, portFile)); err == nil {
			if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n > 0 && n <= lastPort {
				port = n
			}
		}
	}
	if port == 0 || !free(port) {
		chosen := freePort()
		if port == 0 && dir != "" && chosen > 0 {
			if err := os.WriteFile(filepath.Join(dir, portFile), []byte(strconv.Itoa(chosen)+"\n"), 0o600); err != nil {
				log.Warnw("port not remembered", "error", err)
			}
		}
		port = chosen
	}
	var out []ma.Multiaddr
	for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		for _, f := range []string{"/tcp/%d", "/tcp/%d/ws", "/udp/%d/quic-v1", "/udp/%d/quic-v1/webtransport", "/udp/%d/webrtc-direct"} {
			out = append(out, ma.StringCast(ip+fmt.Sprintf(f, port)))
		}
	}
	return out
}

// freePort returns a port that is free for TCP and UDP, or 0.
func freePort() int {
	for range portTries {
		if p := firstPort + rand.IntN(lastPort-firstPort+1); free(p) {
			return p
		}
	}
	return 0
}

func free(port int) bool {
	addr := ":" + strconv.Itoa(port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// unshared fails if another process listens on a TCP port. libp2p shares it with any process
// that shares it as well, another node say, and who connects gets one of them.
func unshared(a ma.Multiaddr) error {
	network, addr, err := manet.DialArgs(a)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return nil
	}
	l, err := net.Listen(network, addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("node: cannot listen on %s, another process does: %w", a, syscall.EADDRINUSE)
	}
	if err == nil {
		l.Close()
	}
	return nil // libp2p tells of the rest
}
