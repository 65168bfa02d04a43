// Package interop checks this implementation against npm hypercore: the other
// side of every test here is the npm package itself.
//
// The JavaScript side is interop/js: a driver process that opens directories,
// replicates over TCP or inside js-libp2p, and answers one JSON line for each
// command. The tests of this package drive it and compare what both sides hold.
// Without Node, or without node_modules (npm ci --ignore-scripts), they are
// skipped; with INTEROP_REQUIRED=1 they fail instead.
//
// README.md holds the table of cases and npm versions, written by
//
//	go test ./interop -update-table -large -timeout 3h
//
// and what npm hypercore does where its behaviour had to be found out.
package interop
