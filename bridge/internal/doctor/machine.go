package doctor

import (
	"io/fs"
	"time"

	"github.com/dustin/go-humanize"
)

// Disk is a file system that the bridge writes to.
type Disk struct {
	// Path is a folder on it, and Kind its kind if it matters.
	Path string
	Kind FileSystem
	// Free bytes, and Need is how much what the bridge keeps there may still grow.
	Free, Need int64
	// Journal: accepted webhooks are kept on it.
	Journal bool
	// Unbounded: an archive without max_bytes is on it.
	Unbounded bool
}

// FileSystem is a kind of file systems.
type FileSystem int

// Kinds of file systems.
const (
	Local FileSystem = iota
	// Memory is gone with the machine.
	Memory
	// Network is on another machine.
	Network
)

// diskMargin is how many bytes must be free in any case.
const diskMargin = 64 << 20

func bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) } //nolint:gosec // not negative

// Disk judges one.
func (r *Report) Disk(d Disk) {
	if d.Journal {
		switch d.Kind {
		case Memory:
			r.problem(CheckJournal, d.Path, "put data_dir on a disk; a process without one uses ingress.ack: stream with an external NATS", "accepted webhooks are kept in memory only: they are gone with the machine or the container")
		case Network:
			r.warning(CheckJournal, d.Path, "put data_dir on a local file system, such as ext4 or xfs", "accepted webhooks are kept on a network file system, where a lock or a sync may not do what it says")
		case Local:
			r.ok(CheckJournal, d.Path, "accepted webhooks are synced to a local file system before they are answered")
		}
	}
	const remedy = "free some space or give the folder a larger disk; or lower nats.events.max_bytes, journal.max_bytes or the archive's max_bytes"
	switch {
	case d.Free < diskMargin:
		r.problem(CheckDisk, d.Path, remedy, "%s are free: webhooks will be refused soon", bytes(d.Free))
	case d.Free < d.Need/10:
		r.problem(CheckDisk, d.Path, remedy, "%s are free, and what is kept there may still grow by %s", bytes(d.Free), bytes(d.Need))
	case d.Free < d.Need:
		r.warning(CheckDisk, d.Path, remedy, "%s are free, and what is kept there may still grow by %s", bytes(d.Free), bytes(d.Need))
	default:
		r.ok(CheckDisk, d.Path, "%s are free, and what is kept there may still grow by %s", bytes(d.Free), bytes(d.Need))
	}
	if d.Unbounded {
		r.note(CheckDisk, d.Path, "set max_bytes of the archive, or give it a disk of its own", "an archive without max_bytes fills the disk, up to what events and journal may still need; then outputs wait, and the provider deletes them one day")
	}
}

// otherFiles is how many files and connections a bridge has open beside those of senders.
const otherFiles = 2048

// OpenFiles judges how many files the process may have open. Connections is how many senders may
// have.
func (r *Report) OpenFiles(most uint64, connections int) {
	if need := uint64(max(connections, 0)) + otherFiles; most < need {
		r.warning(CheckOpen, "", "raise it (LimitNOFILE of systemd, ulimit -n), or lower ingress.max_connections", "the process may have %d files open, and needs up to %d: new connections will fail", most, need)
		return
	}
	r.ok(CheckOpen, "", "the process may have %d files open", most)
}

// Clock is another clock beside that of this machine.
type Clock struct {
	// Of is whose it is. Ahead is by how much it is ahead, give or take Error.
	Of           string
	Ahead, Error time.Duration
	// MaxAge is the smallest max_age of a source.
	MaxAge time.Duration
}

// clockTolerance is a difference that does no harm.
const clockTolerance = 5 * time.Second

// Clock judges the difference.
func (r *Report) Clock(c Clock) {
	off := c.Ahead.Abs() - c.Error
	const remedy = "have both machines synchronise their clocks, by NTP for example"
	switch {
	case off >= c.MaxAge/2:
		r.problem(CheckClock, c.Of, remedy, "the clock there differs from that of this machine by %v: webhooks look too old and go to quarantine, or old ones pass for new", c.Ahead.Abs().Round(time.Second))
	case off > clockTolerance:
		r.warning(CheckClock, c.Of, remedy, "the clock there differs from that of this machine by %v: ages and times in lists are wrong by that", c.Ahead.Abs().Round(time.Second))
	default:
		r.ok(CheckClock, c.Of, "the clock there agrees with that of this machine")
	}
}

// Secret is a secret, where it is from and what it is for.
type Secret struct {
	// Key is the key of the configuration. Place is env:NAME or file:PATH.
	Key, Place string
	Value      []byte
	// Mode is that of its file, 0 for none.
	Mode fs.FileMode
	// Err is why it cannot be read.
	Err error
}

// shortSecret is fewer bytes than a secret should have.
const shortSecret = 16

// Secrets judges them all. No finding repeats one, or its length.
func (r *Report) Secrets(list []Secret) {
	before := len(r.findings)
	first := map[string]Secret{}
	readable := map[string]bool{}
	for _, s := range list {
		if s.Err != nil {
			r.problem(CheckSecrets, s.Key, "set it, or repair its place", "a secret cannot be used: %v", s.Err)
			continue
		}
		if s.Mode.Perm()&0o004 != 0 && !readable[s.Place] {
			readable[s.Place] = true
			r.warning(CheckSecrets, s.Key, "chmod o-rwx the file, and change the secret if strangers use this machine", "every user of this machine may read %s", s.Place)
		}
		if len(s.Value) == 0 {
			continue // judged where it is used
		}
		if len(s.Value) < shortSecret {
			r.warning(CheckSecrets, s.Key, "use a longer one, such as that of openssl rand -hex 32", "the secret of %s has fewer than %d bytes, so it may be guessed", s.Place, shortSecret)
		}
		if other, known := first[string(s.Value)]; !known {
			first[string(s.Value)] = s
		} else if other.Key != s.Key {
			r.warning(CheckSecrets, s.Key, "give each its own", "it is the same secret as that of %s: who knows one can use the other", other.Key)
		}
	}
	if len(r.findings) == before && len(list) > 0 {
		r.ok(CheckSecrets, "", "all secrets (%d) are long enough, differ, and are not readable for everybody", len(list))
	}
}
