// Package storetest holds what tests of storages, and of programs that use them,
// have in common:
//
//   - [Run] is the conformance suite every Storage has to pass.
//   - [Faulty] wraps a Storage, numbers its operations, logs them in readable
//     form, and makes chosen ones fail: unapplied (nothing happened), applied (it
//     happened, yet the caller sees an error), short (a part of a write
//     happened), or because the disk is full.
//   - [Held] wraps a Storage and holds up one operation.
//   - [Crash] records all operations and produces what is left on the disk when
//     the power fails at any of them: unsynced operations lost, kept, reordered or
//     torn at sectors of 512 bytes.
//
// Operations that change something or promise durability are numbered from 1 in
// the order they begin: create, write, truncate, punch, sync, sync storage.
// Reads, locks and closes have no number.
package storetest
