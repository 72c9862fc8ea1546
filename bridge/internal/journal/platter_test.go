package journal

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
	"github.com/stretchr/testify/require"
)

// platter is a file system that knows what a power cut would leave. The real files are its
// page cache: they have every write, also those whose sync failed, as a kernel would show them.
type platter struct {
	types.VFS
	t   testing.TB
	dir string

	mu     sync.Mutex
	random *rand.Rand
	files  map[string]*platterFile
	// cutIn counts down the operations until cut is called, in the middle of one.
	cutIn int
	cut   func()
	// failSync is asked whether a sync fails.
	failSync func() error
}

type platterFile struct {
	durable []byte
	pending []write // since the last sync
	linked  bool    // its name is durable
}

type write struct {
	off  int64
	data []byte
}

func newPlatter(t testing.TB, dir string, random *rand.Rand) *platter {
	p := &platter{VFS: fs.New(), t: t, dir: dir, random: random, files: map[string]*platterFile{}}
	found, err := filepath.Glob(filepath.Join(dir, "0*", "*.wal"))
	require.NoError(t, err)
	for _, path := range found {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		p.files[path] = &platterFile{durable: text, linked: true}
	}
	return p
}

// step is called with mu held.
func (p *platter) step() {
	if p.cutIn--; p.cutIn == 0 && p.cut != nil {
		p.cut()
	}
}

func (p *platter) Create(dir, name string, size uint64) (types.WritableFile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step()
	file, err := p.VFS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	p.files[path] = &platterFile{}
	return &platterHandle{WritableFile: file, p: p, path: path}, nil
}

func (p *platter) Delete(dir, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.files, filepath.Join(dir, name))
	return p.VFS.Delete(dir, name)
}

type platterHandle struct {
	types.WritableFile
	p    *platter
	path string
}

func (f *platterHandle) WriteAt(b []byte, off int64) (int, error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if file := f.p.files[f.path]; file != nil {
		file.pending = append(file.pending, write{off, append([]byte(nil), b...)})
	}
	f.p.step()
	return f.WritableFile.WriteAt(b, off)
}

// Sync makes the writes durable. Where it fails, some of them are, and the kernel takes all of
// them for written.
func (f *platterHandle) Sync() error {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.p.step()
	file := f.p.files[f.path]
	if file == nil {
		return nil
	}
	if err := f.p.failSync(); err != nil {
		file.durable = f.p.torn(file)
		file.pending = nil
		return err
	}
	for _, w := range file.pending {
		file.durable = w.apply(file.durable)
	}
	file.pending, file.linked = nil, true
	f.p.step()
	return nil
}

func (w write) apply(to []byte) []byte {
	if grow := int(w.off) + len(w.data) - len(to); grow > 0 {
		to = append(to, make([]byte, grow)...)
	}
	copy(to[w.off:], w.data)
	return to
}

// torn is the file with the sectors of its unsynced writes kept, dropped, zeroed or torn.
func (p *platter) torn(file *platterFile) []byte {
	const sector = 512
	image := append([]byte(nil), file.durable...)
	mode := p.random.IntN(6)
	for _, w := range file.pending {
		for len(w.data) > 0 {
			n := min(sector-int(w.off)%sector, len(w.data))
			part := write{w.off, w.data[:n]}
			fate := p.random.IntN(4)
			if mode < 4 {
				fate = mode // all of them alike
			}
			switch fate {
			case 0:
				image = part.apply(image)
			case 1:
			case 2:
				// Of a sector that has durable bytes, too, only the new part is zeroed.
				image = write{part.off, make([]byte, n)}.apply(image)
			case 3:
				image = write{part.off, part.data[:p.random.IntN(n)]}.apply(image)
			}
			w.off, w.data = w.off+int64(n), w.data[n:]
		}
	}
	return image
}

// image writes what is left after a power cut now into a new folder. Callers hold mu.
func (p *platter) image(to string) {
	for path, file := range p.files {
		if !file.linked && p.random.IntN(2) == 0 {
			continue
		}
		copied := filepath.Join(to, strings.TrimPrefix(path, p.dir))
		require.NoError(p.t, os.MkdirAll(filepath.Dir(copied), 0o750))
		require.NoError(p.t, os.WriteFile(copied, p.torn(file), 0o600))
	}
	for _, name := range []string{positionFile, formatFile} {
		if text, err := os.ReadFile(filepath.Join(p.dir, name)); err == nil {
			require.NoError(p.t, os.WriteFile(filepath.Join(to, name), text, 0o600))
		}
	}
}
