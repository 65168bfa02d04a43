// Package feed is one log: signed, append-only, whole or sparse, on disk.
package feed
