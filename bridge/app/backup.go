package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/backup"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// BackupReport says what a backup holds.
type BackupReport = backup.Manifest

// Backup saves everything of a bridge that does not run into a folder that is empty or does not
// exist: the streams, durables and buckets, the journal, the small files of the data folder and
// the configuration without secrets. tell is called with the bytes that are written so far. The
// error wraps [ErrFolderInUse] while a bridge runs.
func Backup(ctx context.Context, cfg *config.Config, opts Options, dir string, tell func(bytes int64)) (report BackupReport, err error) {
	settings := opts.readDocument().Settings(cfg)
	e, err := newEnv(cfg, opts, nil)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, e.onStop.run()) }()
	if err := e.openFolder(); err != nil {
		return report, err
	}
	if !cfg.NATS.External() && !e.folder.Has(datafolder.NATSPart) {
		return report, errors.New("there is nothing to save: the data folder " + e.folder.Dir() + " has no streams yet")
	}
	s, err := openBare(ctx, e, "hookspan-backup", false)
	if err != nil {
		return report, err
	}
	e.onStop.add("NATS", s.close)
	if e.folder.Has(datafolder.JournalPart) {
		if s.journal, err = openStoppedJournal(e.folder, cfg); err != nil {
			return report, err
		}
		e.onStop.add("journal", s.journal.Close)
	}
	to, err := backup.NewFolder(dir)
	if err != nil {
		return report, err
	}
	src, err := s.backupSource(settings, opts.File, false)
	if err == nil {
		report, err = backup.Write(ctx, src, counted{to, tell})
	}
	return report, errors.Join(err, to.Drop())
}

// counted is a folder that tells how much is written.
type counted struct {
	*backup.Folder

	tell func(bytes int64)
}

// Create implements [backup.Sink].
func (c counted) Create(name string) (io.WriteCloser, error) {
	f, err := c.Folder.Create(name)
	return countedFile{f, c}, err
}

type countedFile struct {
	io.WriteCloser

	of counted
}

func (f countedFile) Write(p []byte) (int, error) {
	n, err := f.WriteCloser.Write(p)
	f.of.tell(f.of.Bytes())
	return n, err
}

// TakeBackup writes the backup that a running bridge answers with into a folder that is empty or
// does not exist, and checks it. tell is called with the bytes that are written so far.
func TakeBackup(res *http.Response, dir string, tell func(bytes int64)) (report BackupReport, err error) {
	to, err := backup.NewFolder(dir)
	if err != nil {
		return report, err
	}
	err = backup.ReadWire(res.Header.Get("Content-Type"), res.Body, func(name string, r io.Reader) error {
		return to.Take(name, telling{r, func() { tell(to.Bytes()) }})
	})
	if err != nil {
		return report, errors.Join(err, to.Drop())
	}
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal(text, &report)
}

// telling calls tell with each read.
type telling struct {
	io.Reader

	tell func()
}

func (t telling) Read(p []byte) (int, error) {
	t.tell()
	return t.Reader.Read(p)
}

// sendBackup saves everything of this bridge while it runs.
func (a *App) sendBackup(ctx context.Context, begin func(contentType string) io.Writer) error {
	now := a.force.Load()
	src, err := a.store.backupSource(now.doc.Settings(now.cfg), a.opts.File, true)
	if err != nil {
		return err
	}
	var to late
	wire := backup.NewWire(&to)
	to.begin = func() io.Writer { return begin(wire.ContentType()) }
	_, err = backup.Write(ctx, src, wire)
	if to.w == nil && errors.Is(err, backup.ErrServer) {
		return adminapi.CannotServe{Text: err.Error()}
	}
	if to.w == nil {
		return err
	}
	return errors.Join(err, wire.Close(err))
}

// late begins with the first write.
type late struct {
	begin func() io.Writer
	w     io.Writer
}

func (l *late) Write(p []byte) (int, error) {
	if l.w == nil {
		l.w = l.begin()
	}
	return l.w.Write(p)
}

// backupSource is what a backup of this store has.
func (s *store) backupSource(settings []config.Setting, file string, running bool) (backup.Source, error) {
	src := backup.Source{
		JS: s.work, Names: s.cfg.Names(), Version: s.version, Store: placeOf(s.cfg).Store, Running: running,
		Config: []byte(config.Text(settings, filepath.Base(file))),
	}
	if s.work == nil {
		src.JS = s.consume
	}
	if s.journal != nil {
		src.Journal = func(ctx context.Context, to io.Writer) (n uint64, err error) {
			enc := json.NewEncoder(to)
			err = exportJournal(ctx, s.journal, true, func(r adminapi.JournalRecord) error { n++; return enc.Encode(r) })
			return n, err
		}
	}
	names, err := filepath.Glob(s.folder.Path(auditFiles))
	if err != nil {
		return src, err
	}
	for _, path := range append(names, s.folder.Path(recordFile)) {
		text, err := datafolder.OpenMemory(path).Load()
		if err != nil {
			return src, err
		}
		if text != nil {
			src.Files = append(src.Files, backup.FolderFile{Name: filepath.Base(path), Text: text})
		}
	}
	return src, nil
}

// auditFiles are those of the audit in the data folder.
const auditFiles = "audit*.json"

// openStoppedJournal opens the journal of a bridge that does not run.
func openStoppedJournal(folder *datafolder.Folder, cfg *config.Config) (*journal.Journal, error) {
	return journal.Open(folder.Path(datafolder.JournalPart), journal.Config{MaxBytes: int64(cfg.Journal.MaxBytes), Log: zap.NewNop()})
}
