package durablerepair

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keptDamaged bounds the damaged durables set aside; the oldest are removed.
const keptDamaged = 64

// setAside moves files of a durable out of the server's folder. It skips missing files.
func (r *Repairer) setAside(f *foundDurable, files ...string) error {
	if f.aside == "" {
		f.aside = filepath.Join(r.cfg.Damaged, fmt.Sprintf("%s.%s.%s", time.Now().UTC().Format("20060102T150405.000000000Z"), f.stream, f.name))
	}
	for _, file := range files {
		from := filepath.Join(r.folder(f.stream, f.name), file)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(f.aside, 0o700); err != nil {
			return err
		}
		if err := os.Rename(from, filepath.Join(f.aside, file)); err != nil {
			return err
		}
	}
	return r.forgetOldest()
}

func (r *Repairer) forgetOldest() error {
	aside, err := folders(r.cfg.Damaged)
	if err != nil || len(aside) <= keptDamaged {
		return err
	}
	slices.Sort(aside) // by time
	for _, name := range aside[:len(aside)-keptDamaged] {
		if err := os.RemoveAll(filepath.Join(r.cfg.Damaged, name)); err != nil {
			return err
		}
	}
	return nil
}
