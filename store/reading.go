package store

// Reader is a Storage that can also be opened for reading only, where nothing can be
// written: on read-only media, in a snapshot, in somebody else's directory.
type Reader interface {
	Storage

	// Reading returns the same place. Of its Files only ReadAt, Size, Sync, Lock and
	// Close are to be called; Open with create fails with fs.ErrPermission.
	Reading() Storage
}
