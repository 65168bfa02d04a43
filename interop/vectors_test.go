package interop

import (
	"os/exec"
	"testing"
)

// TestVectors holds that testdata/vectors is what npm writes today.
func TestVectors(t *testing.T) {
	js(t)
	if out, err := exec.Command("node", "generate.mjs", "--check").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
