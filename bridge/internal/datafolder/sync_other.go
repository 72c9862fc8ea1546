//go:build unix && !linux

package datafolder

import "golang.org/x/sys/unix"

// SyncFileSystem: only Linux can sync one file system and say whether it did.
func SyncFileSystem(string) error {
	unix.Sync()
	return nil
}
