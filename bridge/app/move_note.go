package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/backup"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
)

const (
	// moveFile has the note of a move to another NATS, until it is done.
	moveFile = "move.json"
	// moveConfigFile has the configuration with which the bridge ran before.
	moveConfigFile = "move.yaml"
)

// moveStage is how far a move is.
type moveStage string

const (
	moveNoted   moveStage = "noted"
	moveCopying moveStage = "copying" // the new place may have streams that are half of the copy
	moveCopied  moveStage = "copied"  // the new place has everything
)

// Move is a noted move of the streams to another NATS.
type Move struct {
	ID    string         `json:"id"`
	From  durables.Place `json:"from"`
	To    durables.Place `json:"to"`
	Stage moveStage      `json:"stage"`
	Noted time.Time      `json:"noted"`
}

// NoteMove checks that everything that the bridge of cfg keeps in NATS can move to that of next,
// and has the next start with next move it. Both have the same data folder. The bridge may run
// meanwhile.
func NoteMove(ctx context.Context, cfg *config.Config, file string, next *config.Config, opts Options) (Move, error) {
	m := Move{ID: time.Now().UTC().Format("20060102T150405.000000000Z"), From: placeOf(cfg), To: placeOf(next), Stage: moveNoted, Noted: time.Now().UTC()}
	switch {
	case cfg.DataDir != next.DataDir:
		return m, fmt.Errorf("data_dir is %s and in the new configuration %s: a bridge moves to another NATS with its data folder, so name the same; to move to another folder or machine, use backup and restore", cfg.DataDir, next.DataDir)
	case m.From.Prefix != m.To.Prefix:
		return m, fmt.Errorf("nats.prefix is %s and in the new configuration %s: name the same, which is part of the name of every stream", m.From.Prefix, m.To.Prefix)
	case m.From.Store == m.To.Store:
		return m, errors.New("both configurations name the same NATS: there is nothing to move")
	}
	if err := noOtherMove(cfg.DataDir); err != nil {
		return m, err
	}
	if err := checkMove(ctx, next, opts, func(to *bareStore) error { return newTarget(to).Check(ctx) }); err != nil {
		return m, fmt.Errorf("the new NATS cannot take the streams, and nothing was changed: %w", err)
	}
	if cfg.NATS.External() {
		if err := checkMove(ctx, cfg, opts, func(*bareStore) error { return nil }); err != nil {
			return m, fmt.Errorf("the NATS of now cannot give the streams, and nothing was changed: %w", err)
		}
	}
	var text []byte
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return m, fmt.Errorf("keeping the configuration of now: %w", err)
		}
	}
	if err := writeOwned(cfg.DataDir, moveConfigFile, text); err != nil {
		return m, err
	}
	return m, m.save(cfg.DataDir)
}

// ForgetMove removes the note of a move that has not begun. The error wraps [fs.ErrNotExist] when
// there is none.
func ForgetMove(dataDir string) (Move, error) {
	m, err := readMove(dataDir)
	switch {
	case err != nil:
		return Move{}, err
	case m == nil:
		return Move{}, fmt.Errorf("no move is noted in %s: %w", dataDir, fs.ErrNotExist)
	case m.Stage != moveNoted:
		return *m, fmt.Errorf("the move to %s has begun: start the bridge with that configuration again, which ends the move", m.To)
	}
	return *m, forget(dataDir)
}

func noOtherMove(dir string) error {
	m, err := readMove(dir)
	if err == nil && m != nil && m.Stage != moveNoted {
		return fmt.Errorf("a move to %s has begun: start the bridge with that configuration, which ends the move", m.To)
	}
	return err
}

// checkMove returns why a move cannot have this NATS at one of its ends: it is not reached, its
// user lacks rights, or what check says. It changes nothing.
func checkMove(ctx context.Context, cfg *config.Config, opts Options, check func(*bareStore) error) error {
	if !cfg.NATS.External() {
		return vacant(filepath.Join(cfg.DataDir, datafolder.NATSPart))
	}
	e, err := newEnv(cfg, opts, nil)
	if err != nil {
		return err
	}
	at, err := openBare(ctx, e, "hookspan-migrate", false)
	if err != nil {
		return err
	}
	if err = at.usable(ctx, rights.Backup); err != nil {
		err = fmt.Errorf("a move needs the rights of user backup in deploy/nats, beside those of the bridge: %w", err)
	} else {
		err = check(at)
	}
	return errors.Join(err, at.close())
}

// vacant returns an error when the folder of the embedded NATS is there.
func vacant(dir string) error {
	if datafolder.Exists(dir) {
		return fmt.Errorf("%s has an embedded NATS already, and nothing is overwritten: move it away if nobody needs what it holds", dir)
	}
	return nil
}

func newTarget(to *bareStore) *backup.Target {
	return backup.NewTarget(to.js, to.streams, func(string) {})
}

// readMove returns the noted move of a data folder, nil for none.
func readMove(dir string) (*Move, error) {
	text, err := datafolder.OpenMemory(filepath.Join(dir, moveFile)).Load()
	if err != nil || len(text) == 0 {
		return nil, err
	}
	var m Move
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("reading the note of a move, %s: %w", filepath.Join(dir, moveFile), err)
	}
	return &m, nil
}

func (m Move) save(dir string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeOwned(dir, moveFile, text)
}

// forget removes the note before the configuration that it needs.
func forget(dir string) error {
	for _, name := range []string{moveFile, moveConfigFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting the move: %w", err)
		}
	}
	return datafolder.SyncFileSystem(dir)
}

// writeOwned writes a file of the data folder for the user whose folder it is, who need not be the
// user of this process.
func writeOwned(dir, name string, text []byte) error {
	path := filepath.Join(dir, name)
	info, err := os.Stat(dir)
	if err == nil {
		err = datafolder.WriteFile(path, text, 0o640)
	}
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	return err
}

// createdOf returns when the stream of events was created.
func createdOf(ctx context.Context, js jetstream.JetStream, stream string) (time.Time, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return time.Time{}, err
	}
	return s.CachedInfo().Created, nil
}
