package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

const folderPrefix = "attempt-"

type folders struct {
	dir string
	log *slog.Logger
}

// prepare makes dir, and removes the working folders that an earlier process left in it.
func (f *folders) prepare() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the working folders: %w", err)
	}
	left, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("looking for old working folders: %w", err)
	}
	for _, entry := range left {
		if ok, err := filepath.Match(folderPrefix+"*", entry.Name()); ok && err == nil {
			f.remove(filepath.Join(f.dir, entry.Name()))
		}
	}
	return nil
}

func (f *folders) make() (string, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil { // somebody may have removed it
		return "", fmt.Errorf("making the folder of the working folders: %w", err)
	}
	dir, err := os.MkdirTemp(f.dir, folderPrefix)
	if err != nil {
		return "", fmt.Errorf("making a working folder: %w", err)
	}
	return dir, nil
}

// remove removes a working folder. A folder that cannot be removed, because a process that is
// out of reach writes there, is removed when this program starts the next time.
func (f *folders) remove(dir string) {
	err := os.RemoveAll(dir)
	if errors.Is(err, fs.ErrPermission) {
		giveRights(dir)
		err = os.RemoveAll(dir)
	}
	if err != nil {
		f.log.Warn("a working folder cannot be removed", slog.Any("error", err))
	}
}

// giveRights gives this user the rights back that the command took from its own folders.
func giveRights(dir string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, _ error) error {
		// WalkDir calls this before it reads the folder.
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
}
