package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	// maxFile bounds a file in bytes, and maxFiles those of a series: the oldest one goes
	// when the newest one is full.
	maxFile  = 8 << 20
	maxFiles = 4
)

// file is what the audit needs of an [os.File].
type file interface {
	ReadAt(p []byte, off int64) (int, error)
	Write(p []byte) (int, error)
	Stat() (fs.FileInfo, error)
	Sync() error
	Close() error
}

// series is a file that lines are appended to, and those before it.
type series struct {
	base string // the path without its end
	max  int64
	open func(path string) (file, error)

	f    file // nil: it is not open
	size int64
	torn bool // the file ends within a line
}

func newSeries(dir, name string) series {
	return series{base: filepath.Join(dir, name), max: maxFile, open: func(path string) (file, error) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err // not an interface of a nil file
		}
		return f, nil
	}}
}

// path of a file; 0 is the one that is written.
func (s *series) path(n int) string {
	if n == 0 {
		return s.base + ".json"
	}
	return s.base + "." + strconv.Itoa(n) + ".json"
}

// append writes a line, and after a failure opens the file anew for the next one.
func (s *series) append(line []byte, sync bool) error {
	err := s.write(line)
	if err == nil && sync {
		err = s.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing the audit: %w", errors.Join(err, s.close()))
	}
	return nil
}

func (s *series) write(line []byte) error {
	if err := s.ready(); err != nil {
		return err
	}
	if s.size > 0 && s.size+int64(len(line)) > s.max {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	if s.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := s.f.Write(line)
	s.size += int64(n)
	s.torn = s.torn && n == 0
	return err
}

func (s *series) ready() (err error) {
	if s.f != nil {
		return nil
	}
	if s.f, err = s.open(s.path(0)); err != nil {
		return err
	}
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	s.size, s.torn = info.Size(), false
	if s.size > 0 {
		last := []byte{0}
		_, err = s.f.ReadAt(last, s.size-1)
		s.torn = last[0] != '\n'
	}
	return err
}

func (s *series) rotate() error {
	if err := s.close(); err != nil {
		return err
	}
	for n := maxFiles - 1; n > 0; n-- {
		if err := os.Rename(s.path(n-1), s.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.ready()
}

func (s *series) close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}

// all opens the files for reading, the newest first.
func (s *series) all() (files []file, err error) {
	for n := range maxFiles {
		f, err := os.Open(s.path(n))
		switch {
		case err == nil:
			files = append(files, f)
		case !errors.Is(err, fs.ErrNotExist):
			return files, err
		}
	}
	return files, nil
}
