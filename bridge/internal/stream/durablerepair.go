package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// durables keeps the durables of one embedded server from standing still and from
// leaving out events when their files are damaged. The server does the former when
// it cannot read where a durable stands, and the latter when there is no such file:
// it then begins by the durable's deliver policy, which may be "new".
//
// Before the server starts [durables.examine] puts a state in place of each damaged
// one that the server refuses. So nobody, not even a program that makes its durable
// when it connects, can have it begin anew. Once the server runs, and has the
// stream, [durables.settle] replaces that by a safe position and has the server load
// the durable. A process that dies in between leaves what it found.
type durables struct {
	dir      string // the folder of the server's streams
	damaged  string // where damaged files are set aside
	record   *durableRecord
	position func(stream, durable string) (uint64, bool) // nil: nothing is known
	log      *zap.Logger

	mu    sync.Mutex
	found []*foundDurable // not settled yet
	told  []bridge.Alarm  // not raised yet
}

// foundDurable is a durable as its files are.
type foundDurable struct {
	stream, name string

	meta  []byte // nil: unknown
	info  server.FileConsumerInfo
	state durableState // zero when it cannot be read
	lost  bool         // its state cannot be read, or is absurd
	// damage is what was wrong, in words; empty: nothing.
	damage []string
	aside  string // where the damaged files are now
}

func newDurables(folder *datafolder.Folder, part string, memory *datafolder.Memory, position func(string, string) (uint64, bool), log *zap.Logger) *durables {
	record, err := openDurableRecord(memory)
	if err != nil {
		log.Error("it is not known any more which durables there were: one whose folder is lost will not be missed", zap.Error(err))
	}
	return &durables{
		dir: folder.Path(part, server.JetStreamStoreDir, ownAccount, "streams"), damaged: folder.Path(part, "damaged"),
		record: record, position: position, log: log,
	}
}

// examine looks at the files of all durables while no server has them, and makes the
// server refuse those that have lost their state.
func (d *durables) examine() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found = nil
	streams, err := folders(d.dir)
	if err != nil {
		return fmt.Errorf("looking at the durables: %w", err)
	}
	for _, stream := range streams {
		names, err := folders(filepath.Join(d.dir, stream, durablesFolder))
		if err != nil {
			return fmt.Errorf("looking at the durables: %w", err)
		}
		names = slices.AppendSeq(names, maps.Keys(d.record.known[stream]))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			f := d.read(stream, name)
			if f == nil {
				continue
			}
			if len(f.damage) > 0 {
				if err := d.secure(f); err != nil {
					return fmt.Errorf("securing durable %s of stream %s, whose files are damaged: %w", name, stream, err)
				}
			}
			d.found = append(d.found, f)
		}
	}
	return nil
}

func (d *durables) folder(stream, name string) string {
	return filepath.Join(d.dir, stream, durablesFolder, name)
}

// read returns nil for what is no durable.
func (d *durables) read(stream, name string) *foundDurable {
	dir := d.folder(stream, name)
	f := &foundDurable{stream: stream, name: name}
	var metaErr, stateErr error
	f.meta, f.info, metaErr = readMeta(dir, stream, name)
	f.state, stateErr = readState(dir)
	kept := d.record.meta(stream, name)
	if metaErr != nil && kept != nil {
		f.meta = kept
		f.info, _ = decodeMeta(kept) // it was tried when it was read
	}
	switch {
	case f.meta != nil && f.info.Durable != name:
		return nil // it ends with its reader
	case f.meta == nil && errors.Is(stateErr, fs.ErrNotExist):
		return nil // whoever was making it was not told that it is there
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

// inWords says what is wrong without the folder, which is said beside it.
func inWords(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("%s: %v", filepath.Base(path.Path), path.Err)
	}
	return err.Error()
}

// secure sets what is damaged aside and puts in its place what is known, and a state
// that the server refuses.
func (d *durables) secure(f *foundDurable) error {
	dir := d.folder(f.stream, f.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if text, _, err := readMeta(dir, f.stream, f.name); err != nil || text == nil {
		if err := d.setAside(f, metaFile, metaSumFile); err != nil {
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
	if err := d.setAside(f, stateFile); err != nil {
		return err
	}
	return datafolder.WriteFile(filepath.Join(dir, stateFile), []byte{0}, 0o600)
}
