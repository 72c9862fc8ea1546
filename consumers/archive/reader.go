package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// ErrNotHere means that an address is none of an archive, or that the archive is a folder of
// another machine.
var ErrNotHere = errors.New("it is not in this archive")

// File is a stored output that is open for reading. One goroutine at a time may use it.
type File struct {
	io.ReadSeekCloser

	Size int64
	// Head is how the file begins, 512 bytes or all of it.
	Head []byte
}

// Reader opens what an archive has stored, in a process that need not run the archive. It is
// safe for concurrent use.
type Reader struct {
	cfg Config

	mu    sync.Mutex
	files store // nil until the first call of Open
}

// NewReader returns the reader of an archive. Of the configuration it uses Location and
// AllowPrivate. It opens nothing yet, and never creates or changes anything.
func NewReader(c Config) *Reader { return &Reader{cfg: c.withDefaults()} }

// Open opens output n of a prediction at the address that the archive has published. It opens
// nothing but outputs of that prediction, whatever the address is, and follows no link out of
// the archive. Opening and each read fail when the store does not answer in time; the end of ctx
// ends them too. The error wraps [ErrNotHere] for an address that is none of this archive, and
// fs.ErrNotExist when the archive has no such file, or no longer.
func (r *Reader) Open(ctx context.Context, address string, of Prediction, n int) (*File, error) {
	key, ok := storedKey(address, of, n)
	if !ok {
		return nil, ErrNotHere
	}
	files, err := r.open() //nolint:contextcheck // it only reads files
	if err != nil {
		return nil, fmt.Errorf("opening the archive: %w", err)
	}
	if files.address(key) != address {
		return nil, ErrNotHere
	}
	f, err := files.open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return f, nil
}

func (r *Reader) open() (store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files != nil {
		return r.files, nil
	}
	if r.cfg.Location.Dir != "" {
		dir, err := filepath.Abs(r.cfg.Location.Dir)
		if err != nil {
			return nil, err
		}
		r.files = &disk{dir: dir}
		return r.files, nil
	}
	s, err := openObjects(context.Background(), r.cfg)
	if err != nil {
		return nil, err
	}
	r.files = s
	return s, nil
}

// Close closes idle connections. Files that are open stay usable.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		return nil
	}
	return r.files.close()
}

// keyPart matches a part of a key that [token] has made.
var keyPart = regexp.MustCompile(`^[A-Za-z0-9_=-]+$`)

// keyParts is how many parts a key has: source, year, month, day, folder and file.
const keyParts = 6

// storedKey returns the key at the end of an address, if it is that of output n of the
// prediction.
func storedKey(address string, of Prediction, n int) (key string, ok bool) {
	parts := strings.Split(address, "/")
	if len(parts) < keyParts {
		return "", false
	}
	parts = parts[len(parts)-keyParts:]
	for _, part := range parts[:4] {
		if !keyPart.MatchString(part) {
			return "", false
		}
	}
	folder, digest, more := strings.Cut(parts[4], ".")
	number, isOutput := outputNumber(parts[5])
	if parts[0] != token(of.Source) || folder != token(of.ID) || more && !keyPart.MatchString(digest) || !isOutput || number != n {
		return "", false
	}
	return strings.Join(parts, "/"), true
}
