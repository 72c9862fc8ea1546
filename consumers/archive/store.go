package archive

import (
	"context"
	"errors"
	"io"
	"time"
)

// errStored says that there is a file under the key already.
var errStored = errors.New("is stored already")

// store keeps files that are whole or absent. Keys are paths with slashes; every
// part of one consists of what [bridge.EncodeToken] leaves, and dots. It is safe for
// concurrent use.
type store interface {
	// put stores a small file, which is durable then. With replace it takes the
	// place of one that is there, without it the error wraps errStored then. After
	// an error there is all of it or nothing.
	put(ctx context.Context, f file, replace bool, data []byte) error
	// part opens output n of the folder for writing. It must be closed.
	part(ctx context.Context, folder string, n int) (part, error)
	// get returns what is stored under the key. The error wraps fs.ErrNotExist when
	// that is nothing.
	get(ctx context.Context, key string) ([]byte, error)
	// measure reads the whole file. Its error is as that of get.
	measure(ctx context.Context, key string) (measured, error)
	// names returns the names of the files in a folder.
	names(ctx context.Context, folder string) ([]string, error)
	// remove deletes a file; one that is gone already is fine.
	remove(ctx context.Context, key string) error
	// sync makes the names durable of the files in the folder, and the way to it.
	sync(folder string) error
	// size counts the bytes of everything that is stored. It may take long.
	size(ctx context.Context) (int64, error)
	// address is where others find the file.
	address(key string) string
	close() error
}

// file is what a stored file is called, and what it is taken for by those who
// serve it.
type file struct {
	key, contentType string
}

// part is one output on its way into the store, for one goroutine.
type part interface {
	// left is what earlier tries left of it, to go on with.
	left() progress
	// fill reads what comes after byte at, which is 0 or where left ends, and gives
	// the file its name. Of the name only [store.sync] makes sure. The error wraps
	// errStored when there is such a file, or is what the reader returned.
	fill(ctx context.Context, f file, from origin, at int64, r io.Reader) (measured, error)
	// close ends it, and returns how many bytes of it stay: all of them when fill
	// returned no error. With keep, what is there of it stays for a later try, if the
	// store can do that and the origin allows to go on.
	close(keep bool) (stays int64, err error)
}

// measured is what a stored file is like.
type measured struct {
	bytes  int64
	sha256 []byte
	at     time.Time // when it was written
}

// origin is what is known of the file at its sender. A part of it can be continued
// only with the rest of the same.
type origin struct {
	// URL is the address without its query, which may change.
	URL string `json:"url"`
	// Validator is a strong ETag, or a Last-Modified that is as good as one; empty:
	// there is none, so nothing can be continued.
	Validator string `json:"validator"`
	// Coding is the codings that it came in, see contentCoding.
	Coding string `json:"coding,omitempty"`
	// Length is the whole one, -1 when the sender did not say.
	Length int64 `json:"length"`
}

// progress is how much of a file is there.
type progress struct {
	origin
	bytes int64
	head  []byte // its first bytes
}
