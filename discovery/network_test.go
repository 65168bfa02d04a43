package discovery

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/protocol"
)

func TestNetworkOf(t *testing.T) {
	for p, want := range map[string]string{
		"/ipfs/kad/1.0.0":               "amino",
		"/hypercore/lab/kad/1.0.0":      "lab",
		"/hypercore/lan/kad/1.0.0":      "",
		"/hypercore/lab/lan/kad/1.0.0":  "",
		"/hypercore/LAB/kad/1.0.0":      "",
		"/hypercore/replicate/1.0.0":    "",
		"/hypercore//kad/1.0.0":         "",
		"/other/kad/1.0.0":              "",
		"/hypercore/lab/kad/1.0.0/more": "",
	} {
		if got, ok := networkOf(protocol.ID(p)); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q %v, want %q", p, got, ok, want)
		}
	}
}
