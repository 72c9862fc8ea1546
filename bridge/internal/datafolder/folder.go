// Package datafolder is the folder of one bridge: its lock, its format, generated passwords and
// small files. Other packages own the contents of its parts. One process at a time has the
// folder.
package datafolder

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// folderFormat is the version of a data folder. Open refuses a folder with a newer one.
const folderFormat = 1

// Parts of the data folder.
const (
	JournalPart = "journal" // accepted deliveries on their way to NATS
	NATSPart    = "nats"    // of the embedded NATS server
	SpoolPart   = "spool"   // what the journal was in an earlier version
)

// ErrInUse is wrapped by [Open] when another process has the folder.
var ErrInUse = errors.New("data folder is in use")

// Folder is a data folder that this process alone may use. Two servers on one folder would both
// acknowledge the same sequences and silently destroy each other's events, so this lock does
// not rely on that of the server.
type Folder struct {
	dir  string
	lock *os.File
}

// Holder describes the process that has a folder.
type Holder struct {
	PID int `json:"pid"`
	// Ready: the process serves at the addresses below. They are empty before, and for a
	// process that does not serve.
	Ready bool `json:"ready,omitempty"`
	// NATSURL is the address of the embedded server; empty without one.
	NATSURL string `json:"nats_url,omitempty"`
	// AdminURL is the address of the admin listener; empty without one.
	AdminURL string `json:"admin_url,omitempty"`
	// WebhooksURL is the address of the listener for webhooks, which come below /webhooks/;
	// empty without one.
	WebhooksURL string `json:"webhooks_url,omitempty"`
	// Config is the absolute path of the configuration; empty without one.
	Config string `json:"config,omitempty"`
}

// Open creates the folder if it is missing, takes its lock, checks its format and syncs its
// whole file system: the server would otherwise take for durable what an earlier process wrote
// and did not sync. The error wraps [ErrInUse] when the lock is taken.
func Open(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	if err := Check(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("creating data folder: %w: choose a folder that this user may write with data_dir", err)
	}
	f := &Folder{dir: dir}
	if f.lock, err = os.OpenFile(f.Path("lock"), os.O_RDWR|os.O_CREATE, 0o640); err != nil {
		return nil, fmt.Errorf("opening the lock of the data folder: %w: choose a folder that this user may write with data_dir", err)
	}
	if err := f.takeLock(); err != nil {
		holder, _ := readHolder(f.Path("lock"))
		return nil, errors.Join(fmt.Errorf("%s: %w by process %d: stop that one or choose another data_dir", dir, ErrInUse, holder.PID), f.lock.Close())
	}
	// Announced before anything else: the file still has the addresses of a process that is
	// gone.
	if err := errors.Join(f.Announce(Holder{PID: os.Getpid()}), f.checkFormat(), f.sync()); err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

// lockPatience is how long Open tries to take the lock: [ReadHolder] in another process holds
// it for an instant.
const lockPatience = time.Second

func (f *Folder) takeLock() error {
	tick := time.NewTicker(lockPatience / 50)
	defer tick.Stop()
	for end := time.Now().Add(lockPatience); ; <-tick.C {
		err := unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// sync also covers parts that are mounts of their own.
func (f *Folder) sync() error {
	err := SyncFileSystem(f.dir)
	for _, part := range []string{JournalPart, NATSPart, SpoolPart} {
		if store := f.Path(part); err == nil && Exists(store) {
			err = SyncFileSystem(store)
		}
	}
	return err
}

// Exists reports whether the path exists.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Has reports whether an earlier process left the part in the folder.
func (f *Folder) Has(part string) bool { return Exists(f.Path(part)) }

// Close releases the lock.
func (f *Folder) Close() error { return f.lock.Close() }

// Dir is the absolute path of the folder.
func (f *Folder) Dir() string { return f.dir }

// Path is the path of a part of the folder, or of a file in it.
func (f *Folder) Path(elem ...string) string {
	return filepath.Join(append([]string{f.dir}, elem...)...)
}

// Announce tells other processes who has the folder; see [ReadHolder].
func (f *Folder) Announce(h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	// Truncated last, so that no reader finds an empty file.
	text = append(text, '\n')
	if _, err = f.lock.WriteAt(text, 0); err == nil {
		err = f.lock.Truncate(int64(len(text)))
	}
	if err != nil {
		return fmt.Errorf("writing the lock of the data folder: %w", err)
	}
	return nil
}

// ErrNotRunning is wrapped by [ReadHolder] when no process has the folder.
var ErrNotRunning = errors.New("no bridge is running")

// ReadHolder returns the holder of the folder. The error wraps [ErrNotRunning] when there is
// none.
func ReadHolder(dir string) (Holder, error) {
	nobody := fmt.Errorf("%w on %s: start one with hookspan serve", ErrNotRunning, dir)
	path := filepath.Join(dir, "lock")
	lock, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, nobody
	}
	if err != nil {
		return Holder{}, fmt.Errorf("opening the lock of the data folder: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return Holder{}, nobody
	}
	return readHolder(path)
}

func readHolder(path string) (Holder, error) {
	var h Holder
	text, err := os.ReadFile(path)
	if err != nil {
		return h, fmt.Errorf("reading the lock of the data folder: %w", err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(first, &h); err != nil {
		return h, fmt.Errorf("reading the lock of the data folder: %w", err)
	}
	return h, nil
}

func (f *Folder) checkFormat() error {
	err := f.readFormat()
	if errors.Is(err, fs.ErrNotExist) {
		return WriteFile(f.Path("format"), []byte(strconv.Itoa(folderFormat)+"\n"), 0o640)
	}
	return err
}

func (f *Folder) readFormat() error {
	text, err := os.ReadFile(f.Path("format"))
	if err != nil {
		return fmt.Errorf("reading the format of the data folder: %w", err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("reading the format of the data folder: %s holds %.20q, not a number", f.Path("format"), text)
	}
	if version > folderFormat {
		return fmt.Errorf("data folder %s has format %d, this program knows up to %d: use the newer Hookspan that made it", f.dir, version, folderFormat)
	}
	return nil
}

// Secret returns the generated password of that name, and makes it on first use.
func (f *Folder) Secret(name string) (string, error) {
	secret, err := ReadSecret(f.dir, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := os.MkdirAll(f.Path("secrets"), 0o700); err != nil {
		return "", fmt.Errorf("creating the folder of secrets: %w", err)
	}
	secret = rand.Text()
	if err := WriteFile(f.Path("secrets", name), []byte(secret+"\n"), 0o600); err != nil {
		return "", err
	}
	return secret, nil
}

// ReadSecret returns a password that [Folder.Secret] made in dir. The error wraps
// fs.ErrNotExist when there is none.
func ReadSecret(dir, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "secrets", name))
	if err != nil {
		return "", fmt.Errorf("reading a secret of the data folder: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty: remove it to have it made again", filepath.Join(dir, "secrets", name))
	}
	return secret, nil
}

// WriteFile replaces a file in one step: a power failure leaves the old file or the new one.
func WriteFile(path string, text []byte, mode fs.FileMode) error {
	tmp, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
