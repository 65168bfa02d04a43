package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// What a PeerRule does.
const (
	ActionBlock = "block"
	ActionAllow = "allow"
)

// PeerRule is what the user says of a peer, on all nodes of a home: to have
// nothing to do with it, or to put up with it.
type PeerRule struct {
	Peer   string    `json:"peer"`   // peer ID, IP address or range in CIDR notation
	Action string    `json:"action"` // ActionBlock or ActionAllow
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// NodePeer is a peer that a node is connected with, or refuses.
type NodePeer struct {
	ID        string     `json:"id"`
	Addr      string     `json:"addr,omitempty"`
	Connected bool       `json:"connected"`
	Relayed   bool       `json:"relayed,omitempty"`
	Since     *time.Time `json:"since,omitempty"` // of the stream, else of the connection
	Stream    bool       `json:"stream"`          // a replication stream is open
	Feeds     int        `json:"feeds"`           // on it
	In        uint64     `json:"in"`              // bytes of it
	Out       uint64     `json:"out"`
	Memory    int        `json:"memory,omitempty"`   // bytes reserved for it
	Rule      *PeerRule  `json:"rule,omitempty"`     // the one that holds for it
	Offences  int        `json:"offences,omitempty"` // faults lately
	Offence   string     `json:"offence,omitempty"`  // the last of them
	Refused   *time.Time `json:"refused,omitempty"`  // not welcome before
}

// PeerKeeper is what a Backend is besides if it runs a node.
type PeerKeeper interface {
	// NodePeers lists the peers that are connected or refused.
	NodePeers() []NodePeer
	// SetPeerRules puts rules in the place of all there were.
	SetPeerRules([]PeerRule) error
}

// Bounds of the rules of a home.
const (
	maxPeerRules = 4096
	maxReason    = 1024
	maxRulesFile = 8 << 20
)

// checkRules refuses what cannot be a list of rules.
func checkRules(list []PeerRule) error {
	if len(list) > maxPeerRules {
		return fmt.Errorf("%w: %d rules about peers, at most %d are possible", ErrBadRequest, len(list), maxPeerRules)
	}
	for _, r := range list {
		if r.Peer == "" || len(r.Peer) > maxReason || len(r.Reason) > maxReason || r.Action != ActionBlock && r.Action != ActionAllow {
			return fmt.Errorf("%w: rule %.100q about %.100q", ErrBadRequest, r.Action, r.Peer)
		}
	}
	return nil
}

// errNoPeers is the answer of a process that runs no node.
var errNoPeers = fmt.Errorf("%w: this process runs no node", ErrBadRequest)

func (s *Server) nodePeers(*http.Request) (any, error) {
	k, ok := s.back.(PeerKeeper)
	if !ok {
		return nil, errNoPeers
	}
	out := k.NodePeers()
	if out == nil {
		out = []NodePeer{}
	}
	return out, nil
}

func (s *Server) setPeerRules(r *http.Request) (any, error) {
	k, ok := s.back.(PeerKeeper)
	if !ok {
		return nil, errNoPeers
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxRulesFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	list, err := parseRules(b)
	if err != nil {
		return nil, err
	}
	return struct{}{}, k.SetPeerRules(list)
}

func parseRules(b []byte) (list []PeerRule, err error) {
	if len(b) > maxRulesFile {
		return nil, fmt.Errorf("%w: more than %d bytes of rules", ErrBadRequest, maxRulesFile)
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%w: rules about peers: %w", ErrBadRequest, err)
	}
	return list, checkRules(list)
}

// Peers lists the peers of the node. ErrBadRequest: the process runs none.
func (c *Client) Peers(ctx context.Context) ([]NodePeer, error) {
	var out []NodePeer
	err := c.ask(ctx, "GET", "/v1/peers", nil, nil, &out)
	return out, err
}

// SetPeerRules replaces the rules of the node.
func (c *Client) SetPeerRules(ctx context.Context, list []PeerRule) error {
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return c.ask(ctx, "PUT", "/v1/peers/rules", nil, bytes.NewReader(b), &struct{}{})
}

func (h *Home) rulesFile() string { return filepath.Join(h.dir, "peers.json") }

// PeerRules returns the rules of the home, oldest first.
func (h *Home) PeerRules() ([]PeerRule, error) {
	f, err := os.Open(h.rulesFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("control: rules about peers: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRulesFile+1))
	if err != nil {
		return nil, fmt.Errorf("control: rules about peers: %w", err)
	}
	list, err := parseRules(b)
	if err != nil {
		return nil, fmt.Errorf("control: %s: %w", f.Name(), err)
	}
	return list, nil
}

// ChangePeerRules replaces the rules of the home by what fn makes of them, with
// nobody else at it, and returns them. Running nodes are not told.
func (h *Home) ChangePeerRules(ctx context.Context, fn func([]PeerRule) []PeerRule) ([]PeerRule, error) {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return nil, fmt.Errorf("control: rules about peers: %w", err)
	}
	unlock, err := h.lockRules(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	list, err := h.PeerRules()
	if err != nil {
		return nil, err
	}
	if list = fn(list); list == nil {
		list = []PeerRule{}
	}
	if err := checkRules(list); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return nil, err
	}
	tmp := h.rulesFile() + ".new"
	if err = os.WriteFile(tmp, append(b, '\n'), 0o600); err == nil {
		err = os.Rename(tmp, h.rulesFile())
	}
	if err != nil {
		return nil, fmt.Errorf("control: rules about peers: %w", err)
	}
	return list, nil
}

// rulesRetry is how often a lock that somebody has is tried again.
const rulesRetry = 20 * time.Millisecond

func (h *Home) lockRules(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(h.dir, "peers.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control: rules about peers: %w", err)
	}
	for {
		ok, err := tryLock(f)
		if ok {
			return func() { f.Close() }, nil
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("control: lock %s: %w", f.Name(), err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(rulesRetry):
		}
	}
}
