//go:build !linux

package main

// lockOwner names the process that holds the lock of a feed's directory. Only
// Linux tells.
func lockOwner(string) string { return "" }
