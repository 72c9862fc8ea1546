package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// writer appends to the newest generation. It uses the segments of raft-wal and not its log:
// the log's own list of segments is needed only to append to what an earlier process wrote,
// which never happens here, and its rotation reports no error. Only the committer uses it.
type writer struct {
	j      *Journal
	gen    *generation
	filer  *segment.Filer
	files  *tailFiles
	tail   types.SegmentWriter
	nextID uint64
}

// begin makes a generation on the disk. Where it fails it leaves nothing behind.
func (j *Journal) begin(first uint64) (*writer, error) {
	g := &generation{first: first, end: first - 1, mark: newMark(), current: true}
	g.name = fmt.Sprintf(generationName, g.first, g.mark)
	dir := j.path(g.name)
	err := j.writeFormat()
	if err == nil {
		err = os.Mkdir(dir, 0o750)
	}
	if err != nil {
		return nil, fmt.Errorf("beginning a generation of the journal: %w", err)
	}
	files := &tailFiles{VFS: j.cfg.vfs}
	w := &writer{j: j, gen: g, files: files, filer: segment.NewFiler(dir, files), nextID: 1}
	if err = w.create(); err == nil {
		// The folder itself may be new, too.
		if err = errors.Join(syncDir(j.dir), syncDir(filepath.Dir(j.dir))); err != nil {
			err = errors.Join(err, w.tail.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("beginning a generation of the journal: %w", err), os.RemoveAll(dir))
	}
	j.mu.Lock()
	j.generations = append(j.generations, g)
	j.mu.Unlock()
	return w, nil
}

// newMark is never 0, which is the mark of records that were set aside.
func newMark() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// create begins a segment behind the last record.
func (w *writer) create() error {
	info := types.SegmentInfo{
		ID: w.nextID, BaseIndex: w.gen.end + 1, MinIndex: w.gen.end + 1,
		SizeLimit: uint32(w.j.cfg.SegmentBytes), Codec: segmentCodec, CreateTime: time.Now(),
	}
	w.nextID++
	tail, err := w.filer.Create(info)
	if err != nil {
		return err
	}
	w.tail = tail
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	w.gen.segments = append(w.gen.segments, segmentFile{name: segment.FileName(info), base: info.BaseIndex})
	return nil
}

// segmentCodec says in the files of raft-wal that their entries are ours. Lower ones are
// reserved.
const segmentCodec = 0x4a53_0001

// rotate begins the next segment if the last append has filled this one.
func (w *writer) rotate() (rotated bool, err error) {
	sealed, _, err := w.tail.Sealed()
	if err != nil || !sealed {
		return false, err
	}
	// All of it is synced, so an error of closing loses nothing.
	if err := w.tail.Close(); err != nil {
		w.j.warn("closing a full segment", err)
	}
	w.tail = nil
	return true, w.create()
}

// close gives the generation up for writing, and the disk what was reserved for it: a disk that
// fails again and again must not be filled with empty segments.
func (w *writer) close() {
	if w.tail != nil {
		if err := w.tail.Close(); err != nil {
			w.j.warn("closing a segment", err)
		}
		w.files.free()
	}
	w.j.mu.Lock()
	w.gen.current = false
	empty := w.gen.empty()
	if empty {
		w.j.generations = slices.DeleteFunc(w.j.generations, func(g *generation) bool { return g == w.gen })
	}
	w.j.mu.Unlock()
	if empty {
		w.j.removeFolders(w.gen.name)
	}
}

// noRoom reports whether an append failed as the disk has no room, and left nothing. The
// records that fitted are cut off, as they would be found by the next process although they
// were called not stored.
func (w *writer) noRoom(err error) bool {
	cut := w.files.failed
	if !isNoRoom(err) || cut == nil {
		return false
	}
	w.files.failed = nil
	if err := os.Truncate(cut.path, cut.offset); err != nil {
		w.j.warn("cutting off what the disk had no room for", err)
		return false
	}
	return true
}

func isNoRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// tailFiles notes where a write failed: the engine does not tell it from a failed sync.
type tailFiles struct {
	types.VFS
	failed *failedWrite
	path   string // of the newest file
	end    int64  // of what was written to it, or was to be
}

type failedWrite struct {
	path   string
	offset int64
}

type tailFile struct {
	types.WritableFile
	files *tailFiles
	path  string
}

// Create removes what a failure leaves, as the engine would not.
func (f *tailFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.VFS.Create(dir, name, size)
	if err != nil {
		_ = os.Remove(filepath.Join(dir, name))
		return nil, err
	}
	f.path, f.end = filepath.Join(dir, name), 0
	return &tailFile{WritableFile: file, files: f, path: f.path}, nil
}

// free cuts off the pages behind what was written, and touches none with data.
func (f *tailFiles) free() {
	const page = 4096
	end := (f.end + page - 1) / page * page
	if info, err := os.Stat(f.path); err == nil && info.Size() > end {
		_ = os.Truncate(f.path, end) // or it stays until it is trimmed
	}
}

// WriteAt implements types.WritableFile.
func (f *tailFile) WriteAt(b []byte, off int64) (int, error) {
	f.files.end = max(f.files.end, off+int64(len(b)))
	n, err := f.WritableFile.WriteAt(b, off)
	if err != nil {
		f.files.failed = &failedWrite{path: f.path, offset: off}
	}
	return n, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFormat is done before there is anything of that format.
func (j *Journal) writeFormat() error {
	path := j.path(formatFile)
	if datafolder.Exists(path) {
		return nil
	}
	return datafolder.WriteFile(path, []byte(formatText), 0o640)
}
