package control_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/node/control"
)

func openHome(t *testing.T) *control.Home {
	t.Helper()
	h, err := control.OpenHome(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOpenHome(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	t.Setenv(control.HomeEnv, a)
	if h, err := control.OpenHome(""); err != nil || h.Dir() != a {
		t.Errorf("from the environment: %v, %v", h, err)
	}
	if h, err := control.OpenHome(b); err != nil || h.Dir() != b {
		t.Errorf("argument before environment: %v, %v", h, err)
	}
	file := filepath.Join(a, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.OpenHome(file); err == nil {
		t.Error("a file was taken as home")
	}
	t.Setenv(control.HomeEnv, "")
	t.Setenv("XDG_DATA_HOME", b)
	t.Setenv("LocalAppData", b)
	if h, err := control.OpenHome(""); err != nil || h.Dir() != filepath.Join(b, "hypercore") {
		t.Errorf("default: %v, %v", h, err)
	}
}

func claim(t *testing.T, h *control.Home, role string, want int) *control.Slot {
	t.Helper()
	s, err := h.Claim(role)
	if err != nil {
		t.Fatal(err)
	}
	if s.N() != want {
		t.Fatalf("role %s got slot %d, want %d", role, s.N(), want)
	}
	return s
}

// A role finds its slot again, whatever starts first the second time.
func TestClaim(t *testing.T) {
	h := openHome(t)
	boot := claim(t, h, "bootstrap", 0)
	seed := claim(t, h, "node", 1)
	clone := claim(t, h, "node", 2)
	seed.Close()
	seed = claim(t, h, "node", 1)
	for _, s := range []*control.Slot{boot, seed, clone} {
		s.Close()
	}
	seed = claim(t, h, "node", 1)
	boot = claim(t, h, "bootstrap", 0)
	boot2 := claim(t, h, "bootstrap", 3)
	claim(t, h, control.RoleCommand, 0).Close()
	claim(t, h, control.RoleVisit, 0).Close()

	fi, err := os.Stat(seed.Dir())
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("slot directory: %v, %v", fi.Mode(), err)
	}
	var roles []string
	for _, s := range h.Slots() {
		roles = append(roles, s.Role)
	}
	if got := strings.Join(roles, " "); got != "bootstrap node node bootstrap visit command" {
		t.Errorf("roles: %s", got)
	}
	for _, s := range []*control.Slot{boot, seed, boot2} {
		s.Close()
	}
}

func TestSocketWithLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30), strings.Repeat("path", 30))
	h, err := control.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Claim("node")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 { // the second replaces what a killed process left
		l, err := control.Listen(s.Socket())
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(s.Socket())
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("socket: %v, %v", fi, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.Socket()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("socket is left behind: %v", err)
		}
		if err := os.WriteFile(s.Socket(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
