package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// partStep is how many bytes of a part are lost at most when its process is
	// killed.
	partStep = 16 << 20
	// minPart is the smallest part that is worth going on with.
	minPart = 64 << 10
	// maxNote bounds what is read of a note about a part.
	maxNote = 64 << 10
)

// note says how far a part is, in a file beside it. It is not synced, and neither is
// the part: after a power cut the checksum tells whether the bytes are those that
// were written.
type note struct {
	origin
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// diskPart is an output in a file that is not called like one yet: 0.part, or a
// temporary name when another process has that.
type diskPart struct {
	disk   *disk
	folder string // on the disk
	file   *os.File
	note   string // where the note lies, "" when there can be none

	sum   hash.Hash
	bytes int64 // in the file, and in sum
	head  []byte
	from  origin
	noted int64
	named bool
}

func (s *disk) part(ctx context.Context, folder string, n int) (part, error) {
	p := &diskPart{disk: s, folder: s.path(folder), sum: sha256.New()}
	err := p.open(filepath.Join(p.folder, partName(n)))
	if err == nil && p.note != "" {
		if err = p.resume(ctx); err != nil {
			err = errors.Join(err, p.file.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening output %d of %s: %w", n, folder, err)
	}
	return p, nil
}

// open takes the part for this process alone: two that write to it would make a file
// that nobody sent.
func (p *diskPart) open(path string) error {
	if err := os.MkdirAll(p.folder, folderMode); err != nil {
		return err
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
		if err != nil {
			return err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			// Another process has it, or the file system knows no locks.
			_ = f.Close() // nothing was written
			p.file, err = createTemporary(path)
			return err
		}
		same, err := isAt(f, path)
		if same && err == nil {
			p.file, p.note = f, path+noteSuffix
			return nil
		}
		_ = f.Close() // nothing was written
		if err != nil {
			return err
		}
		// Whoever had it has given it its name, or removed it.
	}
}

// isAt reports whether the open file is the one that the path leads to.
func isAt(f *os.File, path string) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(open, there), ignoreMissing(err)
}

// resume reads what is there again, and drops it unless it is what its note says.
func (p *diskPart) resume(ctx context.Context) error {
	n, ok := readNote(p.note)
	if ok && n.Validator != "" && n.Bytes >= minPart {
		p.head = make([]byte, sniffed)
		if _, err := p.file.ReadAt(p.head, 0); err != nil && err != io.EOF {
			return err
		}
		got, err := io.Copy(p.sum, untilDone{ctx, io.NewSectionReader(p.file, 0, n.Bytes)})
		if err != nil {
			return err
		}
		if got == n.Bytes && hex.EncodeToString(p.sum.Sum(nil)) == n.SHA256 {
			p.from, p.bytes = n.origin, n.Bytes
			return p.cut()
		}
	}
	return p.restart()
}

func readNote(path string) (n note, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return note{}, false
	}
	defer func() { _ = f.Close() }() // nothing was written
	err = json.NewDecoder(io.LimitReader(f, maxNote)).Decode(&n)
	return n, err == nil
}

func (p *diskPart) restart() error {
	p.sum.Reset()
	p.from, p.bytes, p.noted, p.head = origin{}, 0, 0, nil
	return p.cut()
}

// cut makes the file as long as what is known of it.
func (p *diskPart) cut() error {
	if err := p.file.Truncate(p.bytes); err != nil {
		return err
	}
	_, err := p.file.Seek(p.bytes, io.SeekStart)
	p.noted = p.bytes
	return err
}

func (p *diskPart) left() progress { return progress{origin: p.from, bytes: p.bytes, head: p.head} }

func (p *diskPart) fill(_ context.Context, f file, from origin, at int64, r io.Reader) (measured, error) {
	if at != p.bytes {
		if err := p.restart(); err != nil {
			return measured{}, err
		}
	}
	p.from = from
	if err := p.copy(r); err != nil {
		return measured{}, err
	}
	// The bytes must be on the disk before the name is.
	err := p.file.Sync()
	if err == nil {
		err = giveName(p.file.Name(), filepath.Join(p.folder, filepath.Base(f.key)))
	}
	if err != nil {
		return measured{}, fmt.Errorf("storing %s: %w", f.key, err)
	}
	p.named = true
	return measured{p.bytes, p.sum.Sum(nil), time.Now()}, nil
}

// copyBuffer is how much of an output is in memory, in bytes.
const copyBuffer = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

func (p *diskPart) copy(r io.Reader) error {
	whole := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(whole)
	buf := whole[:]
	for {
		n, err := r.Read(buf)
		if n > 0 {
			p.sum.Write(buf[:n])
			if _, err := p.file.Write(buf[:n]); err != nil {
				p.from.Validator = "" // the file and the sum may differ
				return err
			}
			p.bytes += int64(n)
		}
		if err == nil && p.bytes-p.noted >= p.disk.step {
			err = p.takeNote()
		}
		switch {
		case err == io.EOF: //nolint:errorlint // what wraps it is a fault, and no end
			return nil
		case err != nil:
			return err
		}
	}
}

// takeNote writes how far the part is, if it can be continued at all.
func (p *diskPart) takeNote() error {
	p.noted = p.bytes
	if p.note == "" || p.from.Validator == "" {
		return nil
	}
	data, err := json.Marshal(note{p.from, p.bytes, hex.EncodeToString(p.sum.Sum(nil))})
	if err != nil {
		return err
	}
	temporary := temporaryOf(p.note)
	if err := os.WriteFile(temporary, data, fileMode); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(temporary)))
	}
	return os.Rename(temporary, p.note)
}

func (p *diskPart) close(keep bool) (stays int64, err error) {
	if keep = keep && !p.named && p.note != "" && p.from.Validator != "" && p.bytes >= minPart; keep {
		if err = p.takeNote(); err != nil {
			keep = false
		}
	}
	if !keep {
		// The note first: without it the rest is nothing.
		if p.note != "" {
			err = errors.Join(err, ignoreMissing(os.Remove(p.note)))
		}
		err = errors.Join(err, ignoreMissing(os.Remove(p.file.Name())))
	}
	if keep || p.named {
		stays = p.bytes
	}
	return stays, errors.Join(err, p.file.Close())
}

// temporaryOf is a name that nothing has yet, most likely.
func temporaryOf(path string) string {
	return path + "." + strconv.FormatInt(time.Now().UnixNano(), 16) + ".tmp"
}
