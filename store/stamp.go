package store

import "time"

// Stamper is a Storage that can tell whether a file was written by somebody else
// since one last looked, without opening it: the directory. Who uses one can close
// its files while it does not need them, and give the lock back.
type Stamper interface {
	Storage

	// Stamp returns the stamp of the named file, the zero Stamp if it does not
	// exist.
	Stamp(name string) (Stamp, error)
}

// Stamp is what changes when a file is written, replaced or removed. Stamps are
// compared with ==. Times are in nanoseconds since 1970, as the file system has
// them: two writes within one tick of its clock may leave the same, see Fresh.
type Stamp struct {
	Size    int64
	Written int64  // when the content was last changed
	Changed int64  // when content, size, names or permissions were; 0: not known
	Inode   uint64 // the file behind the name; 0: not known
}

// Clocks of file systems tick every 1 to 10 milliseconds, or every one or two
// seconds: then all their times are whole seconds.
const (
	fineTick   = 100 * time.Millisecond
	coarseTick = 3 * time.Second
)

// Fresh reports whether the file was changed so shortly before now that a further
// write may not show in its stamp. A time in the future, of another machine's
// clock, is fresh too.
func (s Stamp) Fresh(now time.Time) bool {
	last, tick := max(s.Written, s.Changed), fineTick
	if s.Written%int64(time.Second) == 0 && s.Changed%int64(time.Second) == 0 {
		tick = coarseTick
	}
	return s != Stamp{} && now.UnixNano()-last < int64(tick)
}
