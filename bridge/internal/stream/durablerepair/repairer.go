// Package durablerepair repairs durables of an embedded server whose files are damaged. Without
// a readable state, the server takes the durable out of service; without a state file, it
// restarts the durable by its deliver policy, which may be "new", and skips events.
//
// Before the server starts, [Repairer.Examine] replaces each damaged state by one that the
// server refuses. So nobody, not even a program that makes its durable on connecting, restarts
// it from the wrong place. Once the server runs and has the stream, [Repairer.Settle] writes a
// safe position and has the server load the durable. After a crash in between, the next process
// finds the refused state.
package durablerepair

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// Config of a [Repairer].
type Config struct {
	// Streams is the server's folder of streams, Damaged the folder for damaged files.
	Streams, Damaged string
	// Account is the account of the streams.
	Account string
	// Memory remembers which durables there are; nil remembers nothing.
	Memory *datafolder.Memory
	// Position returns the first sequence of a stream that a durable may still need, false if
	// unknown; nil knows nothing.
	Position func(stream, durable string) (uint64, bool)
	// Connect returns a connection to the server. It is called when a durable must be restored.
	Connect func() (*nats.Conn, error)
	Log     *zap.Logger
}

// Repairer repairs the durables of one embedded server. It is safe for concurrent use.
type Repairer struct {
	cfg    Config
	record *record

	mu    sync.Mutex
	found []*foundDurable // not settled yet
	told  []bridge.Alarm  // not raised yet
}

type foundDurable struct {
	stream, name string

	meta  []byte // nil: unknown
	info  server.FileConsumerInfo
	state durableState // zero if unreadable
	lost  bool         // its state is unreadable or absurd
	// damage describes the damage; empty if there is none.
	damage []string
	aside  string // where the damaged files are now
}

// New returns a repairer for the files of a server that is not running.
func New(cfg Config) *Repairer {
	record, err := openRecord(cfg.Memory)
	if err != nil {
		cfg.Log.Error("it is not known any more which durables there were: one whose folder is lost will not be missed", zap.Error(err))
	}
	return &Repairer{cfg: cfg, record: record}
}

// Examine checks the files of all durables before a server uses them, and makes the server
// refuse durables that have lost their state.
func (r *Repairer) Examine() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = nil
	streams, err := folders(r.cfg.Streams)
	if err != nil {
		return fmt.Errorf("looking at the durables: %w", err)
	}
	for _, stream := range streams {
		names, err := folders(filepath.Join(r.cfg.Streams, stream, durablesFolder))
		if err != nil {
			return fmt.Errorf("looking at the durables: %w", err)
		}
		names = slices.AppendSeq(names, maps.Keys(r.record.known[stream]))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			f := r.read(stream, name)
			if f == nil {
				continue
			}
			if len(f.damage) > 0 {
				if err := r.secure(f); err != nil {
					return fmt.Errorf("securing durable %s of stream %s, whose files are damaged: %w", name, stream, err)
				}
			}
			r.found = append(r.found, f)
		}
	}
	return nil
}

func (r *Repairer) folder(stream, name string) string {
	return filepath.Join(r.cfg.Streams, stream, durablesFolder, name)
}

// read returns nil if the folder holds no durable.
func (r *Repairer) read(stream, name string) *foundDurable {
	dir := r.folder(stream, name)
	f := &foundDurable{stream: stream, name: name}
	var metaErr, stateErr error
	f.meta, f.info, metaErr = readMeta(dir, stream, name)
	f.state, stateErr = readState(dir)
	kept := r.record.meta(stream, name)
	if metaErr != nil && kept != nil {
		f.meta = kept
		f.info, _ = decodeMeta(kept) // it was decoded when it was recorded
	}
	switch {
	case f.meta != nil && f.info.Durable != name:
		return nil // an ephemeral consumer
	case f.meta == nil && errors.Is(stateErr, fs.ErrNotExist):
		return nil // its creation was never acknowledged
	}
	for _, err := range []error{metaErr, stateErr} {
		if err != nil {
			f.damage = append(f.damage, inWords(err))
		}
	}
	if metaErr != nil && stateErr != nil && !datafolder.Exists(dir) {
		f.damage = []string{"its folder is gone"}
	}
	f.lost = stateErr != nil
	return f
}

// inWords describes the damage without the folder, which the alarm names anyway.
func inWords(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("%s: %v", filepath.Base(path.Path), path.Err)
	}
	return err.Error()
}

// secure sets the damaged files aside and writes the known configuration, and a state that the
// server refuses.
func (r *Repairer) secure(f *foundDurable) error {
	dir := r.folder(f.stream, f.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if text, _, err := readMeta(dir, f.stream, f.name); err != nil || text == nil {
		if err := r.setAside(f, metaFile, metaSumFile); err != nil {
			return err
		}
		if f.meta != nil {
			if err := writeMeta(dir, f.stream, f.name, f.meta); err != nil {
				return err
			}
		}
	}
	if !f.lost {
		return nil
	}
	if err := r.setAside(f, stateFile); err != nil {
		return err
	}
	return datafolder.WriteFile(filepath.Join(dir, stateFile), []byte{0}, 0o600)
}

// tell keeps an alarm until [Repairer.Raise].
func (r *Repairer) tell(f *foundDurable, text string) {
	details := map[string]any{"stream": f.stream, "damage": f.damage}
	if _, err := os.Stat(f.aside); err == nil {
		details["damaged_files"] = f.aside
	}
	damage := strings.Join(f.damage, ", ")
	if damage == "" {
		damage = "the server does not have it"
	}
	r.told = append(r.told, bridge.Alarm{
		Kind: bridge.AlarmDurableDamaged, Subject: f.name, Details: details,
		Text: fmt.Sprintf("the durable %s of stream %s was damaged (%s): %s", f.name, f.stream, damage, text),
	})
}

// Raise raises the alarms since the last call.
func (r *Repairer) Raise(alarms bridge.Alarmer) {
	r.mu.Lock()
	told := r.told
	r.told = nil
	r.mu.Unlock()
	for _, alarm := range told {
		alarms.Raise(alarm)
	}
}
