package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// waitTime is a time to wait as a flag: 30s, 5m; never a negative one.
type waitTime time.Duration

func (w *waitTime) Type() string { return "duration" }

func (w *waitTime) String() string {
	if *w == 0 {
		return "" // no default to show
	}
	return time.Duration(*w).String()
}

func (w *waitTime) Set(v string) error {
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a time such as 30s or 5m", v)
	case d < 0:
		return errors.New("there are no negative times")
	}
	*w = waitTime(d)
	return nil
}

// timeoutFlag adds --timeout to a command; d is its default.
func timeoutFlag(c *cobra.Command, d *time.Duration, usage string) {
	c.Flags().Var((*waitTime)(d), "timeout", usage)
}
