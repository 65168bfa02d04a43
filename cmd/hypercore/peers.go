package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
)

const peersHelp = `
Show the peers of the running nodes of this home: who is connected, directly or through a
relay, since when, how many feeds and bytes go over the stream, who is refused for a while
because of what it sent, and the rules about peers.

  hypercore peers
  hypercore peers block 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA --reason spam
  hypercore peers block 203.0.113.0/24
  hypercore peers allow 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA
  hypercore peers forget 203.0.113.0/24

PEER is a peer ID, an IP address, or a range of addresses. Nothing goes to or comes from
who is blocked. An allowed peer is not refused for what it did wrong, and its connection
is kept when there are too many. Block wins over allow. Rules hold for all nodes of the
home, those that run now and those that are started later, until they are forgotten.

--json: one line per peer: {node, id, addr, connected, relayed, since, stream, feeds, in,
out, memory, rule, offences, offence, refused}, then one per rule: {peer, action, reason,
since}; node is the ID of the node here, rule the one that holds for the peer`

func newPeers(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peers [ACTION PEER]",
		Short: "Show who is connected and refused; block and allow peers",
		Long:  text(peersHelp),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q: after hypercore peers comes block, allow, forget or nothing", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return a.peers(c.Context()) },
	}
	for _, x := range []struct{ action, short string }{
		{control.ActionBlock, "Have nothing to do with a peer or a range of addresses"},
		{control.ActionAllow, "Put up with a peer whatever it does, and keep its connection"},
		{"forget", "Take back what was said of a peer or range"},
	} {
		var reason string
		sub := &cobra.Command{
			Use:   x.action + " PEER",
			Short: x.short,
			Long:  text(peersHelp),
			Args:  args(1, 1),
			RunE:  func(c *cobra.Command, args []string) error { return a.rule(c.Context(), x.action, args[0], reason) },
		}
		if x.action != "forget" {
			sub.Flags().StringVar(&reason, "reason", "", "why, for whoever reads the list later")
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// nodeClients calls fn for each node of the home that runs, and returns those that do not
// answer.
func nodeClients(h *control.Home, fn func(c *control.Client) error) (silent []control.SlotInfo, err error) {
	for _, s := range h.Slots() {
		if s.Role == control.RoleCommand {
			continue
		}
		c := control.NewClient(s.Socket)
		err := fn(c)
		c.Close()
		switch {
		case errors.Is(err, control.ErrNoAnswer):
			silent = append(silent, s)
		case err != nil && !errors.Is(err, control.ErrNoNode):
			return silent, err
		}
	}
	return silent, nil
}

// warnSilent says that a node does not answer, what that means here, and what can be done.
func (a *app) warnSilent(s control.SlotInfo, means string) {
	if s.PID == 0 {
		a.warn("the node in slot %d does not answer%s", s.N, means)
		return
	}
	a.warn("the node in slot %d (process %d) does not answer%s", s.N, s.PID, means)
	a.warn("  → kill -CONT %d if it was stopped; kill -KILL %d ends it", s.PID, s.PID)
}

// peerJSON is a peer of one of the nodes.
type peerJSON struct {
	Node string `json:"node"`
	control.NodePeer
}

func (a *app) peers(ctx context.Context) error {
	h, err := a.home()
	if err != nil {
		return err
	}
	rules, err := h.PeerRules()
	if err != nil {
		return err
	}
	nodes := 0
	silent, err := nodeClients(h, func(c *control.Client) error {
		n, err := c.Node(ctx)
		if err != nil {
			return err
		}
		list, err := c.Peers(ctx)
		if err != nil {
			return err
		}
		nodes++
		return a.printPeers(n, list)
	})
	if err != nil {
		return err
	}
	if nodes == 0 && len(silent) == 0 {
		a.say("no node of this home runs")
	}
	if !a.json && len(rules) > 0 {
		if err := a.print("rules"); err != nil {
			return err
		}
	}
	for _, r := range rules {
		if a.json {
			err = a.emit(r)
		} else {
			err = a.print("  %s", ruleText(r))
		}
		if err != nil {
			return err
		}
	}
	for _, s := range silent {
		a.warnSilent(s, "; its peers are not shown")
	}
	if len(silent) > 0 {
		return errTold
	}
	return nil
}

func (a *app) printPeers(n control.NodeInfo, list []control.NodePeer) error {
	if a.json {
		for _, p := range list {
			if err := a.emit(peerJSON{n.ID, p}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := a.print("node %s (hypercore %s, process %d): %s", n.ID, n.Role, n.PID, plural(uint64(len(list)), "peer")); err != nil {
		return err
	}
	for _, p := range list {
		if err := a.print("  %s", peerText(p)); err != nil {
			return err
		}
	}
	return nil
}

// peerText describes a peer in a line.
func peerText(p control.NodePeer) string {
	s := []string{p.ID}
	switch {
	case p.Connected && p.Relayed:
		s = append(s, "relayed")
	case p.Connected:
		s = append(s, "direct")
	default:
		s = append(s, "not connected")
	}
	if p.Addr != "" {
		s = append(s, p.Addr)
	}
	if p.Since != nil {
		s = append(s, "for "+durationText(time.Since(*p.Since)))
	}
	if p.Stream {
		s = append(s, plural(uint64(p.Feeds), "feed"), bytesText(p.In)+" received", bytesText(p.Out)+" sent")
	}
	if p.Rule != nil {
		s = append(s, ruleText(*p.Rule))
	}
	if p.Offences > 0 {
		s = append(s, plural(uint64(p.Offences), "offence")+": "+p.Offence)
	}
	if p.Refused != nil {
		s = append(s, "refused for another "+durationText(max(0, time.Until(*p.Refused))))
	}
	return strings.Join(s, ", ")
}

// ruleText describes a rule.
func ruleText(r control.PeerRule) string {
	what := "allowed"
	if r.Action == control.ActionBlock {
		what = "blocked"
	}
	s := fmt.Sprintf("%s %s since %s", r.Peer, what, r.Since.Local().Format("2006-01-02 15:04"))
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

// rule makes or takes back a rule, in the home and in the nodes that run.
func (a *app) rule(ctx context.Context, action, arg, reason string) error {
	parsed, err := node.ParseRule(arg)
	if err != nil {
		return usagef("%q is neither a peer ID nor an IP address or range", arg)
	}
	h, err := a.home()
	if err != nil {
		return err
	}
	target := parsed.Target()
	r := control.PeerRule{Peer: target, Action: action, Reason: reason, Since: time.Now().UTC().Truncate(time.Second)}
	known := false
	list, err := h.ChangePeerRules(ctx, func(list []control.PeerRule) []control.PeerRule {
		list = slices.DeleteFunc(list, func(x control.PeerRule) bool {
			same := x.Peer == target
			known = known || same
			return same
		})
		if action != "forget" {
			list = append(list, r)
		}
		return list
	})
	if err != nil {
		return err
	}
	if action == "forget" && !known {
		return fmt.Errorf("there is no rule about %s", target)
	}
	told := 0
	silent, err := nodeClients(h, func(c *control.Client) error {
		err := c.SetPeerRules(ctx, list)
		if err == nil {
			told++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the rule is kept, but not all running nodes were told: %w", err)
	}
	done := map[string]string{control.ActionBlock: "blocked", control.ActionAllow: "allowed", "forget": "forgotten"}[action]
	a.say("%s: %s; %s told, and those that start later will know", target, done, plural(uint64(told), "running node"))
	for _, s := range silent {
		a.warnSilent(s, " and may not know of it; run the command again when it does, or start it again")
	}
	if len(silent) > 0 {
		return errTold
	}
	return nil
}

// rulesOf turns the rules of a home into a node's.
func rulesOf(list []control.PeerRule) ([]node.Rule, error) {
	var out []node.Rule
	for _, x := range list {
		r, err := node.ParseRule(x.Peer)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", control.ErrBadRequest, err)
		}
		r.Block, r.Reason, r.Since = x.Action == control.ActionBlock, x.Reason, x.Since
		out = append(out, r)
	}
	return out, nil
}

// homeRules are the rules that a node of the home begins with.
func homeRules(h *control.Home) ([]node.Rule, error) {
	list, err := h.PeerRules()
	if err != nil {
		return nil, err
	}
	return rulesOf(list)
}

// nodeHolder is a holder of a node: it knows peers too.
type nodeHolder struct {
	*holder
	n *node.Node
}

var _ control.PeerKeeper = nodeHolder{}

// SetPeerRules puts rules in force. See control.PeerKeeper.
func (h nodeHolder) SetPeerRules(list []control.PeerRule) error {
	rules, err := rulesOf(list)
	if err != nil {
		return err
	}
	return h.n.SetRules(rules)
}

// NodePeers lists the peers of the node. See control.PeerKeeper.
func (h nodeHolder) NodePeers() []control.NodePeer {
	var out []control.NodePeer
	for _, e := range h.n.Peers() {
		p := control.NodePeer{
			ID: e.ID.String(), Connected: e.Connected, Relayed: e.Relayed, Stream: e.Stream, Feeds: e.Feeds,
			In: e.In, Out: e.Out, Memory: e.Reserved, Offences: e.Offences,
		}
		if e.Addr != nil {
			p.Addr = e.Addr.String()
		}
		if !e.Since.IsZero() {
			p.Since = &e.Since
		}
		if !e.Refused.IsZero() {
			p.Refused = &e.Refused
		}
		if e.Offence != nil {
			p.Offence = e.Offence.Error()
		}
		if r := e.Rule; r != nil {
			p.Rule = &control.PeerRule{Peer: r.Target(), Action: control.ActionAllow, Reason: r.Reason, Since: r.Since}
			if r.Block {
				p.Rule.Action = control.ActionBlock
			}
		}
		out = append(out, p)
	}
	return out
}
