package store

// Sparse is a File that knows its holes: who reads a long file of which little was written
// can leave them out.
type Sparse interface {
	File

	// NextData returns where something was written, at off or after it; the size of the
	// file if nothing was. What lies between reads zero. Where the file system does not
	// tell, that is off itself.
	NextData(off int64) (int64, error)
}
