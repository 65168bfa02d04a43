package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/go-hypercore/hypercore/protocol"
)

// Trouble is the kind of an error between this node and a peer: what can be
// done about it differs by kind.
type Trouble string

// Kinds of trouble.
const (
	TroubleRefused     Trouble = "refused"      // nothing listens at its addresses
	TroubleTimeout     Trouble = "timeout"      // no answer: it is off, or a firewall or NAT drops what is sent
	TroubleNoRoute     Trouble = "no-route"     // this machine has no way to its addresses
	TroubleNoAddress   Trouble = "no-address"   // none of its addresses can be dialled from here
	TroubleIdentity    Trouble = "identity"     // somebody else answers there: the address was given to another node
	TroubleReservation Trouble = "reservation"  // its relay does not know it any more
	TroubleRelayFull   Trouble = "relay-full"   // its relay takes no more connections
	TroubleForbidden   Trouble = "forbidden"    // this node may not dial there (loopback only, or private ranges from a public machine)
	TroubleNoProtocol  Trouble = "no-protocol"  // it does not replicate
	TroubleFault       Trouble = "fault"        // it did what no honest peer does
	TroubleUnknownFeed Trouble = "unknown-feed" // it does not have the feed
	TroubleEnded       Trouble = "ended"        // the connection ended
	TroubleOther       Trouble = "other"
)

// troubles are told by what an error says where libp2p has no value to tell
// it by. The first that is found counts: a dial fails at many addresses, and
// what says most comes first.
var troubles = []struct {
	text string
	kind Trouble
}{
	{"peer id mismatch", TroubleIdentity},
	{"RESOURCE_LIMIT_EXCEEDED", TroubleRelayFull},
	{"connection refused", TroubleRefused},
	{"CONNECTION_REFUSED", TroubleRefused},
	{"connection reset", TroubleRefused},
	{"NO_RESERVATION", TroubleReservation},
	{"no route to host", TroubleNoRoute},
	{"network is unreachable", TroubleNoRoute},
	{"gater disallows connection", TroubleForbidden},
	{"no addresses", TroubleNoAddress},
	{"no good addresses", TroubleNoAddress},
	{"i/o timeout", TroubleTimeout},
	{"deadline exceeded", TroubleTimeout},
	{"timeout", TroubleTimeout},
	{"dial backoff", TroubleTimeout},
	{"stream reset", TroubleEnded},
	{"connection closed", TroubleEnded},
}

// troubleOf tells the kind of an error of a peer; empty for nil.
func troubleOf(err error) Trouble {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errNoProtocol):
		return TroubleNoProtocol
	case faulty(err):
		return TroubleFault
	case errors.Is(err, protocol.ErrUnknownFeed), errors.Is(err, errNoFeed), errors.Is(err, errSurplus):
		return TroubleUnknownFeed
	case errors.Is(err, protocol.ErrTimeout), errors.Is(err, protocol.ErrSilent), errors.Is(err, protocol.ErrNotReading):
		return TroubleTimeout
	}
	text := err.Error()
	for _, t := range troubles {
		if strings.Contains(text, t.text) {
			return t.kind
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return TroubleRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return TroubleTimeout
	case errors.Is(err, swarm.ErrNoAddresses), errors.Is(err, swarm.ErrNoGoodAddresses):
		return TroubleNoAddress
	case errors.Is(err, network.ErrReset), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return TroubleEnded
	}
	return TroubleOther
}

// text is the trouble for a person; err is told where the kind says nothing.
func (t Trouble) text(err error) string {
	switch t {
	case TroubleRefused:
		return "connection refused"
	case TroubleTimeout:
		return "no answer"
	case TroubleNoRoute:
		return "no route to it"
	case TroubleNoAddress:
		return "none of its addresses can be dialled"
	case TroubleIdentity:
		return "another node answers at its address"
	case TroubleReservation:
		return "its relay does not know it any more"
	case TroubleRelayFull:
		return "its relay takes no more connections"
	case TroubleForbidden:
		return "this node may not dial its addresses"
	case TroubleNoProtocol:
		return "it speaks no replication protocol"
	case TroubleUnknownFeed:
		return "it does not have the feed"
	}
	line, _, _ := strings.Cut(fmt.Sprint(err), "\n")
	return line
}
