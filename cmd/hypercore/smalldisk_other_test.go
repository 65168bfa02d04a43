//go:build !linux

package main

import (
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"
)

func condition(cond string) (bool, error) {
	if cond != "smalldisk" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	return false, nil
}

func smallDisk(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("only on Linux") }
