package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/backup"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// restoringFile is in a data folder between the first and the last step of a restore.
const restoringFile = "restoring"

// errRestoring keeps a bridge from the half of a restore.
var errRestoring = errors.New("a restore into this data folder was cut off: run hookspan restore again, which begins anew")

// Restore brings a backup back: into the embedded NATS of a data folder without one, or into an
// external NATS without streams of this prefix. It checks every file first and overwrites
// nothing. When it fails, it takes back what it has made, or says what is left. tell is called
// after each stream with its name and how many there are. The error wraps [ErrFolderInUse] while a bridge runs.
func Restore(ctx context.Context, cfg *config.Config, opts Options, dir string, tell func(stream string, of int)) (report BackupReport, err error) {
	b, err := backup.Open(ctx, dir)
	if err != nil {
		return report, err
	}
	if b.Prefix != cfg.NATS.Prefix {
		return report, fmt.Errorf("the backup is of nats.prefix %s, and the configuration has %s: nothing was changed; set nats.prefix: %s, which is part of every name in it", b.Prefix, cfg.NATS.Prefix, b.Prefix)
	}
	e, err := newEnv(cfg, opts, nil)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, e.onStop.run()) }()
	if err := e.lockFolder(); err != nil {
		return report, err
	}
	r := &restore{env: e, backup: b, tell: func(stream string) { tell(stream, len(b.Streams)) }, mark: e.folder.Path(restoringFile)}
	if err := r.begin(); err != nil {
		return report, err
	}
	if err := r.run(ctx); err != nil {
		return report, errors.Join(fmt.Errorf("restoring %s: %w", dir, err), r.takeBack())
	}
	return b.Manifest, r.unmark()
}

type restore struct {
	*env

	backup *backup.Backup
	tell   func(stream string)
	mark   string
}

func (r *restore) embedded() bool { return !r.cfg.NATS.External() }

// parts are what a restore makes in the data folder.
func (r *restore) parts() []string {
	parts := append([]string{datafolder.JournalPart, recordFile, checkpointFile}, r.backup.FolderFiles()...)
	if r.embedded() {
		parts = append(parts, datafolder.NATSPart, "durables.json")
	}
	return parts
}

// begin refuses a folder that is used, and marks it. What a restore that was cut off has made in
// it goes first.
func (r *restore) begin() error {
	if datafolder.Exists(r.mark) {
		if err := r.clear(); err != nil {
			return err
		}
	}
	var there []string
	for _, part := range append(r.parts(), viewFile, datafolder.SpoolPart) {
		if r.folder.Has(part) {
			there = append(there, part)
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("the data folder %s has %s, and nothing is overwritten: name another data_dir, or move that away first if nobody needs it", r.folder.Dir(), strings.Join(there, ", "))
	}
	return datafolder.WriteFile(r.mark, []byte("by hookspan restore\n"), 0o640)
}

// clear removes what a restore has made in the data folder.
func (r *restore) clear() error {
	var errs []error
	for _, part := range r.parts() {
		errs = append(errs, os.RemoveAll(r.folder.Path(part)))
	}
	return errors.Join(errs...)
}

func (r *restore) unmark() error {
	if err := os.Remove(r.mark); err != nil {
		return fmt.Errorf("ending the restore: %w", err)
	}
	return datafolder.SyncFileSystem(r.folder.Dir())
}

// takeBack removes what was made in the data folder. What stays is in the error, and the mark
// stays with it.
func (r *restore) takeBack() error {
	if err := r.clear(); err != nil {
		return fmt.Errorf("taking back what was restored: %w", err)
	}
	return r.unmark()
}

// run closes the embedded NATS, which syncs everything then, before it returns.
func (r *restore) run(ctx context.Context) (err error) {
	t, err := openBare(ctx, r.env, "hookspan-restore", true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	into := backup.NewTarget(t.js, t.streams, r.tell)
	if err := into.Check(ctx); err != nil {
		return err
	}
	err = into.Restore(ctx, r.backup)
	if err == nil {
		err = r.rest(ctx, t)
	}
	if err != nil && !r.embedded() {
		err = errors.Join(err, into.Undo(context.WithoutCancel(ctx)))
	}
	return err
}

// rest restores what is not in NATS.
func (r *restore) rest(ctx context.Context, t *bareStore) error {
	events, err := t.js.Stream(ctx, r.cfg.Names().EventsStream())
	if err != nil {
		return err
	}
	if err := r.journal(ctx); err != nil {
		return err
	}
	return r.files(durables.Place{Store: placeOf(r.cfg).Store, Prefix: r.cfg.NATS.Prefix, Created: events.CachedInfo().Created})
}

// journal appends the records that had not been settled. Those that were saved twice go in once.
func (r *restore) journal(ctx context.Context) error {
	if r.backup.Journal == 0 {
		return nil
	}
	opened, err := openStoppedJournal(r.folder, r.cfg)
	if err != nil {
		return err
	}
	j := &Journal{journal: opened, cfg: r.cfg}
	var block []adminapi.JournalRecord
	bytes, seen := 0, map[[16]byte]bool{}
	flush := func() error {
		err := j.Import(ctx, block)
		block, bytes = nil, 0
		return err
	}
	err = r.backup.EachRecord(func(dec *json.Decoder) error {
		var record adminapi.JournalRecord
		if err := dec.Decode(&record); err != nil {
			return err
		}
		id := hash16(record.Stream, bridge.Header(record.Header).Get(bridge.HeaderMsgID))
		if seen[id] {
			return nil
		}
		seen[id] = true
		if block, bytes = append(block, record), bytes+len(record.Body); len(block) == journalBlock || bytes >= journalBlockBytes {
			return flush()
		}
		return nil
	})
	if err == nil && len(block) > 0 {
		err = flush()
	}
	if err = errors.Join(err, opened.Close()); err != nil {
		return fmt.Errorf("restoring the journal: %w", err)
	}
	return nil
}

func hash16(stream, id string) [16]byte {
	sum := sha256.Sum256([]byte(stream + "\x00" + id))
	return [16]byte(sum[:16])
}

// journalBlock and journalBlockBytes bound what is appended at once.
const (
	journalBlock      = 500
	journalBlockBytes = 4 << 20
)

// files writes the small files of the data folder. The auditor has no checkpoint then, and takes
// the streams as it finds them.
func (r *restore) files(at durables.Place) error {
	for _, name := range r.backup.FolderFiles() {
		text, err := r.backup.FolderFile(name)
		if err == nil && name == recordFile {
			text, err = durables.Moved(text, at)
		}
		if err != nil {
			return err
		}
		if err := datafolder.WriteFile(r.folder.Path(name), text, 0o640); err != nil {
			return err
		}
	}
	return nil
}
