package datafolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Check returns the error for which [Open] would refuse the folder, except [ErrInUse]. It creates
// nothing.
func Check(dir string) error {
	f := &Folder{dir: dir}
	if err := f.readFormat(); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	above := dir
	for { // the nearest folder that exists
		_, err := os.Stat(above)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) || above == filepath.Dir(above) {
			break
		}
		above = filepath.Dir(above)
	}
	if err := usable(above, true); err != nil {
		return fmt.Errorf("the data folder: %w: choose a folder that this user may write with data_dir", err)
	}
	return errors.Join(CheckFiles(dir, "lock", "format"), CheckFolders(dir, JournalPart, SpoolPart))
}

// CheckFolders returns an error unless each of the folders in dir can be used, or does not exist
// yet.
func CheckFolders(dir string, names ...string) error { return check(dir, true, names) }

// CheckFiles is [CheckFolders] for files.
func CheckFiles(dir string, names ...string) error { return check(dir, false, names) }

func check(dir string, folders bool, names []string) error {
	for _, name := range names {
		err := usable(filepath.Join(dir, name), folders)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return fmt.Errorf("the data folder: %w: give it back to this user, or choose another folder with data_dir", err)
		}
	}
	return nil
}

func usable(path string, folder bool) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case folder && !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case !folder && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	}
	mode, what := uint32(unix.R_OK|unix.W_OK), "this user may not read and write %s"
	if folder {
		mode, what = unix.W_OK|unix.X_OK, "this user may not write into %s"
	}
	if unix.Access(path, mode) != nil {
		return fmt.Errorf(what, path)
	}
	return nil
}
