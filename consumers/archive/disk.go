package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// folderMode and fileMode are the modes of new folders and files, less the umask.
const (
	folderMode = 0o750
	fileMode   = 0o666
)

// copyBuffer is how much memory an output takes on its way, in bytes.
const copyBuffer = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// disk is a store in a folder. Several processes may share the folder.
type disk struct{ dir string }

func openDisk(name string) (*disk, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	above := existing(dir)
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	if err := syncFolders(dir, above); err != nil {
		return nil, fmt.Errorf("use a file system that can sync folders: %w", err)
	}
	return &disk{dir: dir}, nil
}

func (s *disk) put(_ context.Context, f file, replace bool, data []byte) error {
	if _, err := s.write(f, replace, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("storing %s: %w", f.key, err)
	}
	folder := filepath.Dir(s.path(f.key))
	return syncFolders(folder, folder)
}

func (s *disk) stream(_ context.Context, f file, r io.Reader) (measured, error) {
	return s.write(f, false, r)
}

// write stores a file: its bytes are on the disk before it gets its name.
func (s *disk) write(f file, replace bool, r io.Reader) (measured, error) {
	final := s.path(f.key)
	out, err := createTemporary(final)
	if err != nil {
		return measured{}, err
	}
	temporary := out.Name()
	// The file stays locked until it has its name. Closing it adds nothing: it is synced.
	defer func() { _ = out.Close() }()
	m, err := copyTo(out, r)
	switch {
	case err != nil:
	case replace:
		err = os.Rename(temporary, final)
	default:
		err = giveName(temporary, final)
	}
	return m, errors.Join(err, ignoreMissing(os.Remove(temporary)))
}

func copyTo(out *os.File, r io.Reader) (measured, error) {
	buffer := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buffer)
	sum := sha256.New()
	// io.CopyBuffer would leave the buffer out if it saw the method WriteTo of r.
	n, err := io.CopyBuffer(io.MultiWriter(out, sum), struct{ io.Reader }{r}, buffer[:])
	if err == nil {
		err = out.Sync()
	}
	return measured{n, sum.Sum(nil), time.Now()}, err
}

// createTemporary opens a new file that lies beside final, in a folder that is made
// when it is missing. Its name is one of [temporaryName]. The file is locked as long as it
// is open, so [disk.remove] of another process leaves it alone.
func createTemporary(final string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(final), folderMode); err != nil {
		return nil, err
	}
	for {
		name := final + "." + strconv.FormatInt(time.Now().UnixNano(), 16) + ".tmp"
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Another process may have removed the file before it was locked.
		if !inUse(f) && isNamed(f) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// inUse locks the file and reports whether another one has the lock. A file system without
// locks says of no file that it is in use.
func inUse(f *os.File) bool {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR)
}

// isNamed reports whether the file still is what its name stands for.
func isNamed(f *os.File) bool {
	there, err := os.Lstat(f.Name())
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(there, info)
}

// giveName gives a file its final name if nobody has it, also when several processes
// try at once. Where the file system has no links, two that try at the same instant
// both succeed, and the later one's file stays.
func giveName(temporary, final string) error {
	err := os.Link(temporary, final)
	if err == nil {
		return nil
	}
	if _, there := os.Lstat(final); errors.Is(err, fs.ErrExist) || there == nil {
		return errStored
	}
	return os.Rename(temporary, final)
}

func (s *disk) get(_ context.Context, key string) ([]byte, error) {
	data, err := os.ReadFile(s.path(key))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return data, nil
}

func (s *disk) measure(ctx context.Context, key string) (measured, error) {
	m, err := measureFile(ctx, s.path(key))
	if err != nil {
		return measured{}, fmt.Errorf("reading %s: %w", key, err)
	}
	return m, nil
}

func measureFile(ctx context.Context, path string) (measured, error) {
	f, err := os.Open(path)
	if err != nil {
		return measured{}, err
	}
	defer func() { _ = f.Close() }() // opened for reading
	info, err := f.Stat()
	if err != nil {
		return measured{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, untilDone{ctx, f})
	return measured{n, h.Sum(nil), info.ModTime()}, err
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (r untilDone) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

func (s *disk) names(_ context.Context, folder string) ([]string, error) {
	list, err := os.ReadDir(s.path(folder))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	var names []string
	for _, entry := range list {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (s *disk) folders(_ context.Context, folder, prefix string) ([]string, error) {
	list, err := os.ReadDir(s.path(folder))
	if err = ignoreMissing(err); err != nil {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	var names []string
	for _, entry := range list {
		if entry.IsDir() && strings.HasPrefix(entry.Name(), prefix) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (s *disk) removeFolder(folder string) error {
	path := s.path(folder)
	err := ignoreMissing(os.Remove(path))
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		return nil // something is being written there
	}
	if err == nil {
		err = ignoreMissing(syncFolder(filepath.Dir(path)))
	}
	return err
}

func (s *disk) remove(_ context.Context, key string) (measured, error) {
	m, err := removeUnused(s.path(key))
	if err = ignoreMissing(err); err != nil {
		return measured{}, fmt.Errorf("removing %s: %w", key, err)
	}
	return m, nil
}

// removeUnused deletes a file that nobody writes.
func removeUnused(path string) (measured, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // for writing: NFS locks no other files
	if errors.Is(err, fs.ErrPermission) {
		return measured{}, nil // another user's, who may be writing it
	}
	if err != nil {
		return measured{}, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	if inUse(f) {
		return measured{}, nil
	}
	info, err := f.Stat()
	if err != nil {
		return measured{}, err
	}
	if err := os.Remove(path); err != nil {
		return measured{}, err
	}
	return measured{bytes: info.Size(), at: info.ModTime()}, nil
}

// sync syncs all folders up to the root of the store.
func (s *disk) sync(folder string) error { return syncFolders(s.path(folder), s.dir) }

// size counts files of others in the folder too, if they can be read.
func (s *disk) size(ctx context.Context) (total int64, err error) {
	if err := filepath.WalkDir(s.dir, s.counter(ctx, &total)); err != nil {
		return 0, fmt.Errorf("counting what is stored in %s: %w", s.dir, err)
	}
	return total, nil
}

func (s *disk) counter(ctx context.Context, total *int64) fs.WalkDirFunc {
	return func(path string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fs.ErrPermission) && path != s.dir:
			return fs.SkipDir // a folder of others, such as lost+found where a disk is mounted
		case err != nil || !entry.Type().IsRegular():
			return ignoreMissing(err) // somebody removed the file meanwhile
		}
		info, err := entry.Info()
		if err == nil {
			*total += info.Size()
		}
		return ignoreMissing(err)
	}
}

func (s *disk) address(key string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(s.path(key))}).String()
}

func (s *disk) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

func (s *disk) close() error { return nil }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
