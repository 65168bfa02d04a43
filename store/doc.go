// Package store is named files that are written at an offset and made durable:
// a directory, memory, or a function called with each file name. It knows
// nothing of feeds.
//
// # Durability
//
// The files of a feed are synced by this package only. (Besides, a node syncs its
// identity when it makes it: written beside and linked to its name, so that two
// processes cannot both make one, which a Storage does not offer.) What is promised:
//
//   - After File.Sync returned nil, everything written to the file before, and
//     its size, survive power loss (fdatasync on Linux, F_FULLFSYNC on macOS,
//     FlushFileBuffers on Windows).
//   - After Storage.Sync returned nil, so does the existence of every file
//     created before: the directory is synced, and the parents of every
//     directory that was made.
//   - Once File.Sync has failed, it fails for ever: after a failed fsync the
//     kernel may drop what it could not write and report success the next time.
//     The data has to be written again to a file opened anew.
//
// Nothing is promised about writes that were not synced: each may be there,
// missing, or torn at a sector, in any order.
//
// # Stamps
//
// A directory tells by the stamps of its files (Stamper) whether somebody else has
// written them since they were closed: size, times of the last change, inode. A
// stamp that is about as old as the tick of the file system's clock proves nothing
// (Stamp.Fresh); who relies on stamps treats it as different.
//
// # Names and permissions
//
// Names are plain file names without separators. Directories are made 0700,
// files 0644, and the file named secret_key 0600.
package store
