package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func existing(dir string) string {
	for {
		above := filepath.Dir(dir)
		if _, err := os.Stat(dir); err == nil || above == dir {
			return dir
		}
		dir = above
	}
}

// syncFolders makes the names in the folder durable, and those in every folder above it up to
// top, which is one of them.
func syncFolders(folder, top string) error {
	for {
		if err := syncFolder(folder); err != nil {
			return fmt.Errorf("making %s durable: %w", folder, err)
		}
		above := filepath.Dir(folder)
		if folder == top || above == folder {
			return nil
		}
		folder = above
	}
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
