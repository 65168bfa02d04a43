package feed

import (
	"io"

	"github.com/go-hypercore/hypercore/store"
)

// overlay is a file of a feed that is only read, with what would be written to it.
type overlay struct {
	store.File // nil: the file does not exist
	runs       []run
}

func (o *overlay) Size() (int64, error) {
	end, err := size(o.File)
	for _, r := range o.runs {
		end = max(end, r.off+int64(len(r.buf)))
	}
	return end, err
}

func (o *overlay) ReadAt(b []byte, off int64) (int, error) {
	n, err := readFull(o.File, b, off)
	if err != nil {
		return n, err
	}
	clear(b[n:])
	end := off + int64(len(b))
	for _, r := range o.runs {
		last := min(end, r.off+int64(len(r.buf)))
		if last <= off || r.off >= end {
			continue
		}
		from := max(off, r.off)
		copy(b[from-off:last-off], r.buf[from-r.off:])
		n = max(n, int(last-off))
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (o *overlay) Close() error {
	if o.File == nil {
		return nil
	}
	return o.File.Close()
}

// lay makes what is pending look as if it were written, for a feed that is only
// read. Open calls it, nobody else uses the feed.
func (f *Feed) lay() {
	var data []run
	for _, s := range f.pend.take() {
		data = append(data, run{int64(s.off), append([]byte(nil), *s.buf...)})
	}
	_, tree, chunks := f.tree.take(nil, nil)
	recs := f.sigs.take(f.treeHash())
	f.files.data = &overlay{f.files.data, data}
	f.files.tree = &overlay{f.files.tree, tree}
	f.files.signatures = &overlay{f.files.signatures, sigRuns(recs, nil)}
	f.tree.file, f.sigs.file = f.files.tree, f.files.signatures
	f.pend.landed()
	f.tree.done(chunks)
	f.sigs.landed(recs)
}
