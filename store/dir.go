package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

const (
	dirMode    fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o644
	secretMode fs.FileMode = 0o600

	secretName = "secret_key" // the one file with secretMode
)

// Dir returns the Storage of the directory path. Nothing is created before the
// first Open with create, which makes the directory and its missing parents.
func Dir(path string) Storage { return &dir{path: path} }

type dir struct {
	// Constant.
	path    string
	reading bool // files are opened for reading only

	mu   sync.Mutex
	made []string // directories whose entries changed since the last Sync
}

func (d *dir) String() string { return d.path }

func (d *dir) Open(name string, create bool) (File, error) {
	if name == "" || name == "." || name == ".." || filepath.Base(name) != name {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(d.path, name), Err: fs.ErrInvalid}
	}
	if d.reading {
		return d.openReading(name, create)
	}
	f, made, err := open(filepath.Join(d.path, name), create)
	if err != nil {
		return nil, err
	}
	if len(made) > 0 {
		d.mu.Lock()
		d.made = append(d.made, made...)
		d.mu.Unlock()
	}
	return f, nil
}

// Reading implements Reader.
func (d *dir) Reading() Storage { return &dir{path: d.path, reading: true} }

func (d *dir) openReading(name string, create bool) (File, error) {
	path := filepath.Join(d.path, name)
	if create {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrPermission}
	}
	fi, err := os.Stat(path)
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errIrregular} // opening a pipe would wait
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return newFile(f), nil
}

var errIrregular = errors.New("not a regular file")

// Sync syncs the directories that Open has changed. If there are none it syncs
// the directory itself, if it exists: the files may have been made by a process
// that was killed before its Sync.
func (d *dir) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.made) == 0 {
		if err := syncDir(d.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := syncDirs(d.made); err != nil {
		return err
	}
	d.made = nil
	return nil
}

// OpenFile opens one file of the operating system, for a Func. With create a
// missing file is made, and the directories that lead to it; its creation
// becomes durable with the first Sync of the File.
func OpenFile(path string, create bool) (File, error) {
	f, made, err := open(path, create)
	if err != nil {
		return nil, err
	}
	f.made = made
	return f, nil
}

// open opens or creates a file. made lists the directories whose entries that
// changed: they have to be synced, in this order.
func open(path string, create bool) (f *osFile, made []string, err error) {
	of, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil || !create || !errors.Is(err, fs.ErrNotExist) {
		return newFile(of), nil, err
	}
	parent := filepath.Dir(path)
	made, err = mkdirAll(parent)
	if err != nil {
		return nil, nil, err
	}
	mode := fileMode
	if filepath.Base(path) == secretName {
		mode = secretMode
	}
	of, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return nil, nil, err
	}
	return newFile(of), append(made, parent), nil
}

// mkdirAll makes path and its missing parents, and returns the directories that
// got a new entry, the lowest first.
func mkdirAll(path string) (made []string, err error) {
	for p := path; ; p = filepath.Dir(p) {
		_, err := os.Stat(p)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		made = append(made, filepath.Dir(p))
		if p == filepath.Dir(p) {
			break
		}
	}
	if len(made) == 0 {
		return nil, nil
	}
	return made, os.MkdirAll(path, dirMode)
}

// syncDirs syncs each directory once.
func syncDirs(paths []string) error {
	done := make(map[string]bool, len(paths))
	for _, p := range paths {
		if done[p] {
			continue
		}
		if err := syncDir(p); err != nil {
			return err
		}
		done[p] = true
	}
	return nil
}

// syncDir makes the entries of a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = syncDirHandle(d)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}
