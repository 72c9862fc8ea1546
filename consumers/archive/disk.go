package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// folderMode and fileMode are those of what the archive makes, less the umask.
const (
	folderMode = 0o750
	fileMode   = 0o666
)

// disk is a store in a folder. Several processes may share it.
type disk struct {
	dir string
	// step is how many bytes are written between two notes about how far a part is.
	step int64
}

// openDisk opens the folder, and creates it when it is missing.
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
	return &disk{dir: dir, step: partStep}, nil
}

func (s *disk) put(_ context.Context, f file, replace bool, data []byte) error {
	final := s.path(f.key)
	if err := s.putFile(final, replace, data); err != nil {
		return fmt.Errorf("storing %s: %w", f.key, err)
	}
	folder := filepath.Dir(final)
	return syncFolders(folder, folder)
}

func (s *disk) putFile(final string, replace bool, data []byte) error {
	f, err := createTemporary(final)
	if err != nil {
		return err
	}
	temporary := f.Name()
	_, err = f.Write(data)
	if err == nil {
		// The bytes must be on the disk before the name is.
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if replace {
			err = os.Rename(temporary, final)
		} else {
			err = giveName(temporary, final)
		}
	}
	return errors.Join(err, ignoreMissing(os.Remove(temporary)))
}

// createTemporary opens a new file that lies beside final, in a folder that is made
// when it is missing. It is called as [temporaryName] knows it.
func createTemporary(final string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(final), folderMode); err != nil {
		return nil, err
	}
	for {
		f, err := os.OpenFile(temporaryOf(final), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
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
	defer func() { _ = f.Close() }() // nothing was written
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

func (s *disk) remove(_ context.Context, key string) error {
	if err := ignoreMissing(os.Remove(s.path(key))); err != nil {
		return fmt.Errorf("removing %s: %w", key, err)
	}
	return nil
}

// sync syncs all folders up to the root of the store.
func (s *disk) sync(folder string) error { return syncFolders(s.path(folder), s.dir) }

// size counts what others put into the folder, too, if it can be read.
func (s *disk) size(ctx context.Context) (total int64, err error) {
	if err := filepath.WalkDir(s.dir, s.counter(ctx, &total)); err != nil {
		return 0, fmt.Errorf("counting what is stored in %s: %w", s.dir, err)
	}
	return total, nil
}

// counter adds up the sizes of the files that it is called for.
func (s *disk) counter(ctx context.Context, total *int64) fs.WalkDirFunc {
	return func(path string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fs.ErrPermission) && path != s.dir:
			return fs.SkipDir // none of ours, such as lost+found where a disk is mounted
		case err != nil || !entry.Type().IsRegular():
			return ignoreMissing(err) // it went while we looked
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
