package transcript_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/internal/transcript"
)

func TestCheck(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(doc, []byte("a\n<!-- transcript: x -->\n```text\nold\n```\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const printed = "peer 12D3…abcdefgh at 127.0.0.1:999 (tcp)\n"
	if err := transcript.Check(doc, "x", "run", printed, false); err == nil || !strings.Contains(err.Error(), "old") {
		t.Errorf("another text passed: %v", err)
	}
	if err := transcript.Check(doc, "y", "run", printed, true); err == nil {
		t.Error("a transcript that is not there passed")
	}
	if err := transcript.Check(doc, "x", "run", printed, true); err != nil {
		t.Fatal(err)
	}
	if err := transcript.Check(doc, "x", "run", "peer 12D3…12345678 at 127.0.0.1:1 (tcp)\n", false); err != nil {
		t.Errorf("what differs from run to run counts: %v", err)
	}
	b, err := os.ReadFile(doc)
	if want := "a\n<!-- transcript: x -->\n```text\n$ run\npeer 12D3…bqQ3xVfP at 127.0.0.1:4001 (tcp)\n```\nb\n"; err != nil || string(b) != want {
		t.Errorf("%q, %v", b, err)
	}
}
