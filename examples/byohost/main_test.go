package main

import (
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/internal/leaktest"
)

func TestRun(t *testing.T) {
	leaktest.Check(t)
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "one host for everything\n" {
		t.Errorf("%q", out.String())
	}
}
