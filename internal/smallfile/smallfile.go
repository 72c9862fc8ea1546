// Package smallfile reads files that operators write: configurations, secrets and certificates.
package smallfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// patience is how long a pipe may take to give its content.
const patience = 2 * time.Second

// ErrSilent is wrapped when a pipe has no content in time.
var ErrSilent = errors.New("nobody has written to this pipe for 2 s")

// Read returns the content of a file of at most so many bytes. It never waits long: files are
// read again while a bridge runs, and one may have become a pipe to which nobody writes. The
// error wraps [ErrSilent], or is that of the file system.
func Read(name string, most int) ([]byte, error) {
	// Without the flag, to open a pipe waits for its writer.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pipe, until := info.Mode()&os.ModeNamedPipe != 0, time.Now().Add(patience)
	if pipe {
		_ = f.SetReadDeadline(until) // where it cannot be set, a pipe with a writer is waited for
	}
	text, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	for pipe && err == nil && len(text) == 0 && time.Now().Before(until) { // its writer is not there yet
		<-time.After(10 * time.Millisecond)
		text, err = io.ReadAll(io.LimitReader(f, int64(most)+1))
	}
	switch {
	case pipe && (err == nil && len(text) == 0 || errors.Is(err, os.ErrDeadlineExceeded)):
		return nil, fmt.Errorf("%s: %w", name, ErrSilent)
	case err != nil:
		return nil, err
	case len(text) > most:
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return text, nil
}
