package view

import (
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// SQLite maps the index of its write-ahead log into memory, from a file beside the database.
// On a disk that hangs, a write to such memory stops the thread where the Go runtime cannot
// see it: the next garbage collection waits for that thread, and everything in the process for
// the collection. The index is therefore a file in memory. All connections to a database must
// have the same one; they belong to one process, which the lock of the view ensures.
const (
	vfsName = "hookspan-view"
	// indexParameter of a database's URI is the path of the index.
	indexParameter = "walindex"
)

func init() { vfs.Register(vfsName, indexVFS{vfs.Find("os")}) }

type indexVFS struct{ vfs.VFS }

func (v indexVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(v.VFS, name, flags)
	if err != nil || flags&vfs.OPEN_MAIN_DB == 0 {
		return f, flags, err
	}
	of, ok := f.(osFile)
	if !ok {
		return nil, flags, errors.Join(fmt.Errorf("%T is no file of the system", f), f.Close())
	}
	return indexedFile{of, vfs.NewSharedMemory(name.URIParameter(indexParameter), flags)}, flags, nil
}

// osFile is what a file of the system can do beside its own shared memory.
type osFile interface {
	vfs.FileLockState
	vfs.FileHasMoved
	vfs.FileSizeHint
	vfs.FilePersistWAL
	vfs.FilePowersafeOverwrite
}

type indexedFile struct {
	osFile
	index vfs.SharedMemory
}

func (f indexedFile) SharedMemory() vfs.SharedMemory { return f.index }

func (f indexedFile) Close() error {
	_ = f.index.Close() // an error unless SQLite failed to, which it says itself
	return f.osFile.Close()
}

// newIndex makes the folder of an index. It is removed once all connections have opened the
// index, so that a process that is killed leaves nothing behind.
func newIndex() (dir string, err error) {
	if dir, err = os.MkdirTemp("/dev/shm", vfsName+"-"); err != nil {
		// Not every system has memory there; its folder of temporary files is rarely the disk of
		// the data.
		dir, err = os.MkdirTemp("", vfsName+"-")
	}
	if err != nil {
		return "", fmt.Errorf("making a place for the view's index: %w: make /dev/shm or %s writable", err, os.TempDir())
	}
	return dir, nil
}

func databaseURI(path, index string) string {
	query := url.Values{"vfs": {vfsName}, indexParameter: {index}}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String()
}
