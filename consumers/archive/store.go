package archive

import (
	"context"
	"errors"
	"io"
	"time"
)

// errStored says that there is a file under the key already.
var errStored = errors.New("is stored already")

// store keeps files that are whole or absent. Keys are paths with slashes; every part of one
// consists of the output of [bridge.EncodeToken], and dots. A store is safe for concurrent use.
type store interface {
	// put stores a small file, which is durable then. With replace it takes the place of an
	// existing one; without it the error wraps errStored when there is one. After an error there
	// is all of the file or nothing.
	put(ctx context.Context, f file, replace bool, data []byte) error
	// stream stores the bytes of r under a new key. [store.sync] makes the name durable. The
	// error wraps errStored when there is such a file, or is the error of r; after an error
	// nothing of the file stays.
	stream(ctx context.Context, f file, r io.Reader) (measured, error)
	// get returns the content of a file. The error wraps fs.ErrNotExist when there is none.
	get(ctx context.Context, key string) ([]byte, error)
	// open opens a file that a person reads. Its error is that of get.
	open(ctx context.Context, key string) (*File, error)
	// measure reads the whole file. Its error is that of get.
	measure(ctx context.Context, key string) (measured, error)
	// names returns the names of the files in a folder.
	names(ctx context.Context, folder string) ([]string, error)
	// folders returns the names of the folders in a folder that begin with a prefix; none for a
	// folder that is not there.
	folders(ctx context.Context, folder, prefix string) ([]string, error)
	// removeFolder removes a folder that is empty; any other one stays.
	removeFolder(folder string) error
	// remove deletes a file and returns its size and time, as far as they are known. A file
	// that is gone already is fine, and one that is being written stays.
	remove(ctx context.Context, key string) (measured, error)
	// sync makes the names durable of the files in the folder, and the way to it.
	sync(folder string) error
	// size counts the bytes of everything that is stored. It may take long.
	size(ctx context.Context) (int64, error)
	// address is the URL of the file for other programs.
	address(key string) string
	close() error
}

// file is the key of a stored file, and the content type under which it is served.
type file struct {
	key, contentType string
}

// measured is the size, checksum and age of a stored file.
type measured struct {
	bytes  int64
	sha256 []byte
	at     time.Time // when it was written
}
