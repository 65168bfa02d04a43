package protocol_test

import (
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

var askAttacks = []attack{}
var sourceAttacks = []attack{}
var slowAttacks = []attack{}
var _ = protocol.V6
var _ wire.Want
