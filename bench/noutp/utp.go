// Package utp takes the place of github.com/anacrolix/go-utp in this module:
// the torrent side is measured over TCP, its fastest transport on one machine,
// so nothing here ever opens a uTP socket. The names are those that
// github.com/anacrolix/torrent uses.
package utp

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

// Default names the implementation.
const Default = "none"

var errNone = errors.New("uTP is not part of this program")

// FirewallCallback tells whether packets from addr are to be dropped.
type FirewallCallback func(addr net.Addr) bool

// Option configures a Socket.
type Option func()

// WithLogger does nothing.
func WithLogger(*slog.Logger) Option { return func() {} }

// Socket is what a uTP socket would be.
type Socket interface {
	net.PacketConn
	Accept() (net.Conn, error)
	Addr() net.Addr
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	SetFirewallCallback(FirewallCallback)
}

// NewSocket always fails.
func NewSocket(network, addr string, opts ...Option) (Socket, error) { return nil, errNone }

// NewSocketFromPacketConn always fails.
func NewSocketFromPacketConn(pc net.PacketConn, opts ...Option) (Socket, error) {
	return nil, errNone
}
