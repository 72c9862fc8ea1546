package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Source is what is saved.
type Source struct {
	JS      jetstream.JetStream
	Names   bridge.Names
	Version string
	// Store names where the streams are.
	Store   string
	Running bool
	// Journal writes the records that are not settled, and returns how many; nil: there is no
	// journal.
	Journal func(ctx context.Context, to io.Writer) (uint64, error)
	// Files are small ones of the data folder, by name.
	Files []FolderFile
	// Config is the configuration without secrets.
	Config []byte
}

// FolderFile is a small file of a data folder.
type FolderFile struct {
	Name string
	Text []byte
}

// Paused are durables that were paused for a copy: by stream, by name, until when they were
// paused before.
type Paused map[string]map[string]time.Time

// writer has what is written so far.
type writer struct {
	src      Source
	sink     Sink
	manifest Manifest
}

// Write saves everything into the sink, in the order of the package's comment. The manifest and
// the checksums are the last files, so that a backup that was cut off has none.
func Write(ctx context.Context, src Source, sink Sink) (Manifest, error) {
	w := &writer{src: src, sink: sink, manifest: Manifest{
		Format: Format, Version: src.Version, From: time.Now().UTC(), Prefix: src.Names.Prefix, Store: src.Store, Running: src.Running, Streams: []Stream{},
	}}
	err := w.save(ctx)
	if err == nil {
		err = w.finish()
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("%w: NATS gives no answer to what its user may not do, docs/backup.md has the rights", err)
	}
	if err != nil {
		return w.manifest, fmt.Errorf("making a backup: %w", err)
	}
	return w.manifest, nil
}

func (w *writer) save(ctx context.Context) error {
	n := w.src.Names
	if err := checkServer(w.src.JS); err != nil {
		return err
	}
	// Asked first, as nobody can be told of an error in the answer's status once something is written.
	if _, err := w.src.JS.Stream(ctx, n.EventsStream()); err != nil {
		return fmt.Errorf("stream %s: %w", n.EventsStream(), err)
	}
	if err := w.journal(ctx, journalBeforeName); err != nil {
		return err
	}
	if err := w.streams(ctx, nil, n.UnconfirmedStream(), n.RefusedStream(), n.QuarantineStream(), n.DeadStream()); err != nil {
		return err
	}
	if w.src.Running { // otherwise it is as it was
		if err := w.journal(ctx, journalAfterName); err != nil {
			return err
		}
	}
	if err := w.withoutMover(ctx); err != nil {
		return err
	}
	if err := w.streams(ctx, nil, n.AdvisoriesStream(), n.AttemptsStream(), n.PollsStream()); err != nil {
		return err
	}
	for _, name := range []string{n.QuarantineStream(), n.DeadStream()} {
		if err := w.tail(ctx, name); err != nil {
			return err
		}
	}
	if err := w.streams(ctx, nil, n.AlarmsStream(), n.ErasedStream()); err != nil {
		return err
	}
	return w.folder()
}

// moverTime is more than the mover has for what was delivered to it: later nobody works on it.
const moverTime = 40 * time.Second

// withoutMover saves the events and those that wait, between which nothing moves meanwhile.
func (w *writer) withoutMover(ctx context.Context) (err error) {
	n := w.src.Names
	hold, err := Pause(ctx, w.src.JS, n.LaterStream())
	if err != nil {
		return err
	}
	// When the mover went on meanwhile, something may be in neither stream.
	defer func() { err = errors.Join(err, hold.Resume(context.WithoutCancel(ctx)), hold.Err()) }()
	if err := hold.Quiet(ctx, moverTime); err != nil {
		return err
	}
	return w.streams(ctx, hold.Paused(), n.EventsStream(), n.LaterStream())
}

// streams saves streams. Only that of the events must be there.
func (w *writer) streams(ctx context.Context, paused Paused, names ...string) error {
	for _, name := range names {
		err := w.stream(ctx, name, paused[name])
		if errors.Is(err, jetstream.ErrStreamNotFound) && name != w.src.Names.EventsStream() {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) stream(ctx context.Context, name string, paused map[string]time.Time) error {
	s, err := openSnapshot(ctx, w.src.JS, name)
	if err != nil {
		return err
	}
	defer s.close()
	if err := w.text(streamsPrefix+name+streamConfig, streamFile{s.config, s.state}); err != nil {
		return err
	}
	entry := Stream{Name: name}
	err = w.file(streamsPrefix+name+streamArchive, func(to io.Writer) (err error) {
		entry.Content, err = rewrite(to, s, edit{paused: paused, maxAge: s.parsed.MaxAge, ttl: s.parsed.AllowMsgTTL})
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w.manifest.Streams = append(w.manifest.Streams, entry)
	return nil
}

// errTail means that the two-way rule of the package's comment is broken.
var errTail = errors.New("something that came in meanwhile was taken out again, so that the backup may have it nowhere: run it again")

// tail saves what was stored behind the snapshot of a stream.
func (w *writer) tail(ctx context.Context, name string) error {
	for i := range w.manifest.Streams {
		entry := &w.manifest.Streams[i]
		if entry.Name != name {
			continue
		}
		s, err := openSnapshot(ctx, w.src.JS, name)
		if err != nil {
			return err
		}
		defer s.close()
		if s.state.LastSeq <= entry.Last {
			return nil
		}
		var more Content
		err = w.file(streamsPrefix+name+tailArchive, func(to io.Writer) (err error) {
			more, err = rewrite(to, s, edit{after: entry.Last, without: true, maxAge: s.parsed.MaxAge, ttl: s.parsed.AllowMsgTTL})
			return err
		})
		if err == nil && more.Messages != more.Last-entry.Last {
			err = errTail
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if entry.Oldest == 0 {
			entry.Oldest = more.Oldest
		}
		entry.Tail, entry.Last, entry.Messages = more.Messages, more.Last, entry.Messages+more.Messages
		entry.MayExpire, entry.Largest = entry.MayExpire+more.MayExpire, max(entry.Largest, more.Largest)
	}
	return nil
}

func (w *writer) journal(ctx context.Context, name string) error {
	if w.src.Journal == nil {
		return nil
	}
	return w.file(name, func(to io.Writer) error {
		n, err := w.src.Journal(ctx, to)
		w.manifest.Journal += n
		return err
	})
}

func (w *writer) folder() error {
	for _, f := range w.src.Files {
		if err := w.raw(folderPrefix+f.Name, f.Text); err != nil {
			return err
		}
	}
	return w.raw(configName, w.src.Config)
}

// finish writes the manifest and then the checksums of all files, in the form that sha256sum
// checks.
func (w *writer) finish() error {
	w.manifest.To = time.Now().UTC()
	if err := w.text(manifestName, w.manifest); err != nil {
		return err
	}
	var sums strings.Builder
	for _, f := range w.manifest.Files {
		fmt.Fprintf(&sums, "%s  %s\n", f.SHA, f.Name)
	}
	return w.raw(sumsName, []byte(sums.String()))
}

func (w *writer) text(name string, of any) error {
	text, err := json.MarshalIndent(of, "", "  ")
	if err != nil {
		return err
	}
	return w.raw(name, append(text, '\n'))
}

func (w *writer) raw(name string, text []byte) error {
	return w.file(name, func(to io.Writer) error { _, err := to.Write(text); return err })
}

// file writes one file and notes its size and checksum.
func (w *writer) file(name string, fill func(io.Writer) error) error {
	out, err := w.sink.Create(name)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	sum := &summed{to: out, hash: sha256.New()}
	if err := errors.Join(fill(sum), out.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	w.manifest.Files = append(w.manifest.Files, File{Name: name, Bytes: sum.n, SHA: hex.EncodeToString(sum.hash.Sum(nil))})
	return nil
}
