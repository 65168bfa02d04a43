package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/go-hypercore/hypercore/node/guard"
)

// HomeEnv names the environment variable that chooses the home.
const HomeEnv = "HYPERCORE_HOME"

// Home is the directory that keeps a user's feeds and nodes.
//
//	HOME/feeds/NAME/    the directory of a feed; NAME is a name, or the public key in hex
//	HOME/nodes/N/       slot N: the state of one node (see Slot)
//	HOME/visits/N/      slots of nodes that end with their command
//	HOME/commands/N/    slots of commands that hold a feed
//	HOME/peers.json      rules about peers, for all nodes (see PeerRule); peers.lock while they change
//	HOME/identity, HOME/announced/  who writes feeds here, and how long they were announced (see Guard)
//
// It is safe for concurrent use, also by several processes.
type Home struct {
	dir string // absolute; constant
}

// OpenHome returns the home at dir; the empty string means $HYPERCORE_HOME or,
// without it, DefaultHome. Nothing is created until something is stored.
func OpenHome(dir string) (*Home, error) {
	if dir == "" {
		dir = os.Getenv(HomeEnv)
	}
	if dir == "" {
		d, err := DefaultHome()
		if err != nil {
			return nil, err
		}
		dir = d
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("control: home %s: %w", dir, err)
	}
	if fi, err := os.Stat(abs); err == nil && !fi.IsDir() {
		return nil, fmt.Errorf("control: home %s is not a directory", abs)
	}
	return &Home{dir: abs}, nil
}

// DefaultHome is the place of the operating system for a user's data:
// $XDG_DATA_HOME/hypercore, ~/.local/share/hypercore, on macOS
// ~/Library/Application Support/hypercore, on Windows %LocalAppData%\hypercore.
func DefaultHome() (string, error) {
	if runtime.GOOS == "windows" {
		if d := os.Getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "hypercore"), nil
		}
		return "", errors.New("control: %LocalAppData% is not set; choose a home with --home or $" + HomeEnv)
	}
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hypercore"), nil
	}
	u, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("control: no home for this user (%w); choose one with --home or $%s", err, HomeEnv)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(u, "Library", "Application Support", "hypercore"), nil
	}
	return filepath.Join(u, ".local", "share", "hypercore"), nil
}

// Dir is the absolute path of the home.
func (h *Home) Dir() string { return h.dir }

// Guard are the home's records of the feeds that are written from it.
func (h *Home) Guard() guard.Records { return guard.At(h.dir) }

// FeedDir is where the feed with this name, or with this key in hex, lives.
func (h *Home) FeedDir(name string) string { return filepath.Join(h.dir, "feeds", name) }

func (h *Home) feedsDir() string    { return filepath.Join(h.dir, "feeds") }
func (h *Home) nodesDir() string    { return filepath.Join(h.dir, "nodes") }
func (h *Home) visitsDir() string   { return filepath.Join(h.dir, "visits") }
func (h *Home) commandsDir() string { return filepath.Join(h.dir, "commands") }
