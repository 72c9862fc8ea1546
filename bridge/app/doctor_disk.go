package app

import (
	"context"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/internal/streams"
)

// countTime bounds the count of the bytes of one folder. A folder that takes longer, such as a
// large archive, counts with what was seen, so it may seem to grow by more than it can.
const countTime = 3 * time.Second

// disks examines the file system of the data folder, and those of archives.
func (e *examination) disks(ctx context.Context) {
	c := e.cfg
	data := doctor.Disk{Path: c.DataDir, Journal: c.Has(config.RoleIngress) && c.Ingress.Ack != config.AckStream}
	if data.Journal {
		data.Need += left(int64(c.Journal.MaxBytes), bytesIn(ctx, filepath.Join(c.DataDir, datafolder.JournalPart)))
	}
	if !c.NATS.External() {
		all := streams.Config{Names: c.Names(), MaxBytes: int64(c.NATS.Events.MaxBytes), MaxAge: time.Duration(c.NATS.Events.MaxAge), Duplicates: c.Duplicates()}
		data.Need += left(all.StoreBytes(), bytesIn(ctx, filepath.Join(c.DataDir, datafolder.NATSPart)))
	}
	if c.Has(config.RoleAdmin) || c.Has(config.RoleReconciler) {
		data.Need += bytesIn(ctx, filepath.Join(c.DataDir, viewFile)) // it has no limit, and may be as large once more
	}
	others := map[string]*doctor.Disk{}
	for name, a := range e.archiveFolders() {
		at := &data
		if shared, err := sameDisk(nearest(a.dir), nearest(c.DataDir)); err == nil && !shared {
			at = &doctor.Disk{Path: a.dir}
			others[name] = at
		}
		if a.max == 0 {
			at.Unbounded = true
		} else {
			at.Need += left(a.max, bytesIn(ctx, a.dir))
		}
	}
	e.disk(data)
	for _, name := range slices.Sorted(maps.Keys(others)) {
		e.disk(*others[name])
	}
}

func (e *examination) disk(d doctor.Disk) {
	var at unix.Statfs_t
	if err := unix.Statfs(nearest(d.Path), &at); err != nil {
		e.report.Unknown(doctor.CheckDisk, "the free space of "+d.Path+" is not known: "+err.Error())
		return
	}
	d.Free, d.Kind = int64(at.Bavail)*int64(at.Bsize), fileSystem(int64(at.Type)) //nolint:unconvert // they are 32 bits wide on other systems
	e.report.Disk(d)
}

// fileSystem is the kind of the file system with a number of statfs(2).
func fileSystem(number int64) doctor.FileSystem {
	switch uint32(number) { //nolint:gosec // the numbers have 32 bits
	case 0x01021994, 0x858458f6: // tmpfs, ramfs
		return doctor.Memory
	case 0x6969, 0xff534d42, 0xfe534d42, 0x517b, 0x00c36400: // NFS, CIFS, SMB2, SMB, Ceph
		return doctor.Network
	}
	return doctor.Local
}

type archiveFolder struct {
	dir string
	max int64 // 0: no limit
}

func (e *examination) archiveFolders() map[string]archiveFolder {
	out := map[string]archiveFolder{}
	_, of := consumersOf[*config.Archive](e.cfg)
	for name, a := range of {
		if at, err := e.cfg.ArchiveLocation(a); err == nil && at.Dir != "" {
			out[name] = archiveFolder{at.Dir, int64(a.MaxBytes)}
		}
	}
	return out
}

// nearest is the path, or the nearest one above that exists.
func nearest(path string) string {
	for !exists(path) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	return path
}

// left is by how much something may still grow.
func left(most, has int64) int64 { return max(0, most-has) }

// bytesIn counts the bytes of a file, or of all files in a folder, as far as it can read them.
func bytesIn(ctx context.Context, path string) (sum int64) {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what cannot be read does not count
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
