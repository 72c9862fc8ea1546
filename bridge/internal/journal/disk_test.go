package journal

import (
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// disk is the real file system with faults. A hook may do the operation itself by calling do,
// before or after it fails: what failed may have been done.
type disk struct {
	types.VFS
	mu                                 sync.Mutex
	onCreate, onSync, onDelete, onOpen func(path string, do func() error) error
	onWrite                            func(path string, b []byte, off int64, do func([]byte) error) error
	onRead                             func(path string, b []byte, off int64) error
}

func newDisk() *disk { return &disk{VFS: fs.New()} }

// set changes the hooks while the journal runs.
func (d *disk) set(change func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

type hook = func(string, func() error) error

func (d *disk) run(of func(*disk) hook, path string, do func() error) error {
	d.mu.Lock()
	h := of(d)
	d.mu.Unlock()
	if h == nil {
		return do()
	}
	return h(path, do)
}

func (d *disk) Create(dir, name string, size uint64) (file types.WritableFile, err error) {
	path := filepath.Join(dir, name)
	err = d.run(func(d *disk) hook { return d.onCreate }, path, func() error {
		file, err = d.VFS.Create(dir, name, size)
		return err
	})
	return &diskFile{WritableFile: file, d: d, path: path}, err
}

func (d *disk) OpenReader(dir, name string) (file types.ReadableFile, err error) {
	path := filepath.Join(dir, name)
	err = d.run(func(d *disk) hook { return d.onOpen }, path, func() error {
		file, err = d.VFS.OpenReader(dir, name)
		return err
	})
	return &diskReader{ReadableFile: file, d: d, path: path}, err
}

func (d *disk) Delete(dir, name string) error {
	return d.run(func(d *disk) hook { return d.onDelete }, filepath.Join(dir, name), func() error { return d.VFS.Delete(dir, name) })
}

type diskFile struct {
	types.WritableFile
	d    *disk
	path string
}

func (f *diskFile) Sync() error {
	return f.d.run(func(d *disk) hook { return d.onSync }, f.path, f.WritableFile.Sync)
}

func (f *diskFile) WriteAt(b []byte, off int64) (n int, err error) {
	f.d.mu.Lock()
	h := f.d.onWrite
	f.d.mu.Unlock()
	if h == nil {
		return f.WritableFile.WriteAt(b, off)
	}
	err = h(f.path, b, off, func(b []byte) error {
		n, err = f.WritableFile.WriteAt(b, off)
		return err
	})
	return n, err
}

type diskReader struct {
	types.ReadableFile
	d    *disk
	path string
}

func (f *diskReader) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	h := f.d.onRead
	f.d.mu.Unlock()
	if h != nil {
		if err := h(f.path, b, off); err != nil {
			return 0, err
		}
	}
	return f.ReadableFile.ReadAt(b, off)
}

// fails returns a hook that fails the calls from the nth on, counted from 0, as many times as
// said, before or after it did them.
func fails(from, times int, after bool, err error) hook {
	var mu sync.Mutex
	n := 0
	return func(_ string, do func() error) error {
		mu.Lock()
		fail := n >= from && n < from+times
		n++
		mu.Unlock()
		if !fail {
			return do()
		}
		if after {
			_ = do()
		}
		return err
	}
}
