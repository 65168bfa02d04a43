package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
)

const idHelp = `
Print the peer IDs of the nodes of this home, one per line. seed, clone --live and
bootstrap have one that stays: each takes the first that no other one uses at that time,
so what is started again in the same order has the one it had before. Others that run a
node, such as doctor, recover and clone without --live, take none of these. Without a node
yet, the identity of the first one is made.

--json: one line per slot: {slot, role, id, running} and, while it runs, {pid, command,
addrs, network, feeds}, or {pid, error} while its process does not answer`

type slotJSON struct {
	Slot    int      `json:"slot"`
	Role    string   `json:"role"`
	ID      string   `json:"id"`
	Running bool     `json:"running"`
	PID     int      `json:"pid,omitempty"`
	Command string   `json:"command,omitempty"`
	Addrs   []string `json:"addrs,omitempty"`
	Network string   `json:"network,omitempty"`
	Feeds   int      `json:"feeds,omitempty"`
	Error   string   `json:"error,omitempty"` // why nothing is known but that it runs
}

func newID(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Print the peer IDs of the nodes of this home",
		Long:  text(idHelp),
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := a.home()
			if err != nil {
				return err
			}
			shown := 0
			for _, s := range h.Slots() {
				if s.Role != roleNode && s.Role != roleBootstrap {
					continue
				}
				shown++
				id, err := node.Identity(s.Dir)
				if err != nil {
					return err
				}
				j := slotJSON{Slot: s.N, Role: s.Role, ID: id.String()}
				cl := control.NewClient(s.Socket)
				n, err := cl.Node(c.Context())
				cl.Close()
				switch {
				case err == nil:
					j.Running, j.PID, j.Command, j.Addrs, j.Network, j.Feeds = true, n.PID, n.Role, n.Addrs, n.Network, n.Feeds
				case errors.Is(err, control.ErrNoAnswer): // the ID is known all the same
					a.warnSilent(s, "")
					j.Running, j.PID, j.Error = true, s.PID, message(err)
				case c.Context().Err() != nil:
					return err
				}
				if err := a.printSlot(j); err != nil {
					return err
				}
			}
			if shown > 0 {
				return nil
			}
			slot, err := h.Claim(roleNode)
			if err != nil {
				return err
			}
			defer slot.Close()
			id, err := node.Identity(slot.Dir())
			if err != nil {
				return err
			}
			return a.printSlot(slotJSON{Slot: slot.N(), Role: roleNode, ID: id.String()})
		},
	}
}

func (a *app) printSlot(j slotJSON) error {
	if a.json {
		return a.emit(j)
	}
	if j.Running && j.Error == "" {
		a.say("slot %d: hypercore %s runs as process %s", j.Slot, j.Command, strconv.Itoa(j.PID))
	}
	return a.print("%s", j.ID)
}
