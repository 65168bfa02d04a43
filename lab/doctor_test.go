//go:build linux

package lab

import (
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/internal/transcript"
)

// TestDoctor asks, behind a symmetric NAT, why a feed behind another one does
// not come.
func TestDoctor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := newInternet(w, false)
	// It takes two peers at different addresses to tell what a NAT does.
	second, ip := n.connect("boot2", "c", line{delay: delay})
	boot2 := second.space.hypercore("boot2", append([]string{"bootstrap", "--listen", "/ip4/" + ip + "/tcp/4001", "--listen", "/ip4/" + ip + "/udp/4001/quic-v1"}, n.net()...)...)
	boot2.waitFor("the address of the second bootstrap node", func() bool { return len(boot2.stdout.lines()) >= 2 })
	n.bootAddrs = append(n.bootAddrs, boot2.stdout.lines()...)

	a := n.side("a", side{nat: nat{symmetric: true}})
	b := n.side("b", side{nat: nat{symmetric: true}})
	sd := a.host.seed("seed", mib, n.net()...)
	sd.waitAnnounced()
	d := b.host.hypercore("doctor", append([]string{"doctor", sd.key.String(), "--timeout", "40s"}, n.net()...)...)
	<-d.ended
	out := d.stdout.String()
	for _, want := range []string{
		"takes another port for each peer (symmetric)",
		"hole punching works only with peers whose NAT is better",
		"relayed with narrow limits",
		"1 peer reached only through a relay that carries little: no hole punch got through",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q", want)
		}
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if t.Failed() {
		return
	}
	t.Logf("\n%s", transcript.Stable(out))
	docsMu.Lock()
	defer docsMu.Unlock()
	if *update {
		if err := transcript.Check(docs, "symmetric NAT", "hypercore doctor 9718a1ff... --network lab --bootstrap $ADDR", out, true); err != nil {
			t.Error(err)
		}
	}
}
