package app

import (
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// Holder says which process has a data folder, and where it listens.
type Holder = datafolder.Holder

var (
	// ErrNotRunning means that no process has the data folder.
	ErrNotRunning = datafolder.ErrNotRunning
	// ErrFolderInUse means that another process has the data folder.
	ErrFolderInUse = datafolder.ErrInUse
)

// ReadHolder returns who has the data folder dir. The error wraps ErrNotRunning when
// nobody has.
func ReadHolder(dir string) (Holder, error) { return datafolder.ReadHolder(dir) }

// NATSUser returns the name of the embedded server's user for other programs, or for one
// pull consumer unless that is "".
func NATSUser(consumer string) string {
	if consumer == "" {
		return stream.AppUser
	}
	return stream.PullUser(consumer)
}

// NATSPassword reads the password of a user of the embedded server from the data folder
// dir. The error wraps [fs.ErrNotExist] when the bridge has made no such user yet.
func NATSPassword(dir, user string) (string, error) { return datafolder.ReadSecret(dir, user) }
