package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// maxSocketPath is the longest path of a unix socket that every system takes:
// sun_path holds 104 bytes on macOS and 108 on Linux, the final zero included.
const maxSocketPath = 103

// Listen listens on the unix socket at path, mode 0600, and removes it on
// Close. A socket left behind by a process that was killed is replaced, so the
// caller must hold what guards the path (see Slot). The path may be longer
// than the system allows for sockets.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control: listen: %w", err)
	}
	short, done, err := shorten(path)
	if err != nil {
		return nil, fmt.Errorf("control: listen on %s: %w", path, err)
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control: listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // it would unlink the short name
	// Until here the 0700 of the directory kept others out.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control: listen: %w", err)
	}
	return &listener{UnixListener: l, path: path}, nil
}

// listener removes its socket under the name that it was asked for.
type listener struct {
	*net.UnixListener
	path string
}

func (l *listener) Close() error {
	err := l.UnixListener.Close()
	if err == nil {
		os.Remove(l.path)
	}
	return err
}

// dial connects to the unix socket at path, of any length.
func dial(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", short)
}

// shorten returns a name for path that fits into sun_path: path itself, or one
// that goes through a symbolic link in a fresh private directory. The link is
// needed only while binding or connecting; done removes it.
func shorten(path string) (short string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	tmp, err := os.MkdirTemp(shortTemp(), "hc")
	if err != nil {
		return "", nil, err
	}
	link := filepath.Join(tmp, "d")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		os.Remove(tmp)
		return "", nil, err
	}
	return filepath.Join(link, filepath.Base(path)), func() { os.Remove(link); os.Remove(tmp) }, nil
}

// shortTemp is a directory for temporary files with a short name.
func shortTemp() string {
	if d := os.TempDir(); len(d) <= maxSocketPath-40 {
		return d
	}
	return "/tmp"
}
