//go:build unix && !linux

package datafolder

import "golang.org/x/sys/unix"

// SyncFileSystem does nothing: only Linux can sync one file system and report errors.
func SyncFileSystem(string) error {
	unix.Sync()
	return nil
}
