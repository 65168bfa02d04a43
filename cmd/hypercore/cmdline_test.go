package main

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// A shell makes of quoted words what they were.
func TestShellWords(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell of Unix")
	}
	words := []string{"notes", "./copy", "mine's", "a b", "", "$HOME", "`id`", `\n`, `"`, "a;b", "*", "~", "#", "!x", "two\nlines", "größe", "/ip4/127.0.0.1/udp/1/quic-v1", "a&b|c>d"}
	out, err := exec.Command("sh", "-c", `for w in `+shellWords(words)+`; do printf '%s\0' "$w"; done`).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), strings.Join(words, "\x00")+"\x00"; got != want {
		t.Errorf("a shell reads %q, want %q", got, want)
	}
	if got, want := shellWords([]string{"./copy", "größe", "9718a1ff", "a b"}), "./copy größe 9718a1ff 'a b'"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
