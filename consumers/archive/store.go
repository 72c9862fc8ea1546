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
	"path"
	"path/filepath"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"
)

var (
	// errStored says that there is a file under the key already.
	errStored = errors.New("is stored already")
	// errNoFile says that what was written cannot be synced.
	errNoFile = errors.New("the file store does not show its file")
)

// store is a folder of files that are whole or absent, and durable once a method
// has returned.
type store struct {
	dir    string
	bucket *blob.Bucket
}

// openStore opens the folder, and creates it when it is missing.
func openStore(name string) (*store, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	above := existing(dir)
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{
		CreateDir:   true,
		DirFileMode: 0o750,
		NoTempDir:   true, // a rename is atomic only within one file system
		Metadata:    fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	if err := syncFolders(dir, above); err != nil {
		return nil, errors.Join(fmt.Errorf("use a file system that can sync folders: %w", err), bucket.Close())
	}
	return &store{dir: dir, bucket: bucket}, nil
}

// put stores what fill writes. With replace it takes the place of a file that
// is there, without it the error wraps [errStored] then. After an error there is
// no part of the file under its name: nothing, or all of it when only the folder
// could not be synced.
func (s *store) put(ctx context.Context, key, contentType string, replace bool, fill func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType:                 contentType,
		DisableContentTypeDetection: true, // else it holds back the first bytes
		IfNotExist:                  !replace,
		BeforeWrite: func(as func(any) bool) error {
			if !as(&file) {
				return errNoFile
			}
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("creating %s: %w", key, err)
	}
	err = fill(w)
	if err == nil {
		// The bytes must be on the disk before the name is.
		err = file.Sync()
	}
	linked := false
	if err == nil && !replace {
		linked, err = link(file.Name(), s.path(key))
	}
	if err != nil || linked {
		cancel()
		_ = w.Close() // removes the temporary name, and says that it was cancelled
	} else {
		err = w.Close()
	}
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		err = errStored
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	folder := filepath.Dir(s.path(key))
	return syncFolders(folder, folder)
}

// link gives a file its final name if nobody has it, also when several processes
// try at once: the file store asks first and renames then. It reports false where
// the file system has no links, which leaves that way.
func link(temporary, final string) (bool, error) {
	err := os.Link(temporary, final)
	if errors.Is(err, fs.ErrExist) {
		return false, errStored
	}
	return err == nil, nil
}

// get returns what is stored under the key. The error wraps [fs.ErrNotExist] when
// that is nothing.
func (s *store) get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.bucket.ReadAll(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, notExist(err))
	}
	return data, nil
}

// measured is what a stored file is like.
type measured struct {
	bytes  int64
	sha256 []byte
	at     time.Time // when it was written
}

// measure reads the whole file.
func (s *store) measure(ctx context.Context, key string) (measured, error) {
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return measured{}, fmt.Errorf("reading %s: %w", key, notExist(err))
	}
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return measured{}, fmt.Errorf("reading %s: %w", key, err)
	}
	return measured{n, h.Sum(nil), r.ModTime()}, nil
}

// names returns the names of the files in a folder.
func (s *store) names(ctx context.Context, folder string) ([]string, error) {
	var names []string
	list := s.bucket.List(&blob.ListOptions{Prefix: folder + "/", Delimiter: "/"})
	for {
		o, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", folder, err)
		}
		if !o.IsDir {
			names = append(names, path.Base(o.Key))
		}
	}
}

// remove deletes a file; one that is gone already is fine.
func (s *store) remove(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("removing %s: %w", key, err)
	}
	return nil
}

// sync makes the way to a file durable: the names in its folder and in all folders
// above, up to the root of the store.
func (s *store) sync(key string) error {
	return syncFolders(filepath.Dir(s.path(key)), s.dir)
}

// path is where the file store keeps a key. It would escape some characters, but
// keys have none of them.
func (s *store) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

// address is where others find the file, as a file URL.
func (s *store) address(key string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(s.path(key))}).String()
}

func (s *store) close() error {
	if err := s.bucket.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", s.dir, err)
	}
	return nil
}

func notExist(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fs.ErrNotExist
	}
	return err
}
