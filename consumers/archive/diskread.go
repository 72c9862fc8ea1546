package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// open follows no link out of the folder, and waits for no pipe.
func (s *disk) open(_ context.Context, key string) (*File, error) {
	root, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the folder is not on this machine", ErrNotHere)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // what was opened in it stays open
	f, err := root.OpenFile(filepath.FromSlash(key), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if _, system := errors.AsType[unix.Errno](err); !system {
			return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err) // it leads out of the folder
		}
		return nil, err
	}
	out, err := readHead(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return out, nil
}

func readHead(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is no regular file", fs.ErrNotExist)
	}
	head := make([]byte, sniffed)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &File{ReadSeekCloser: f, Size: info.Size(), Head: head[:n]}, nil
}
