package datafolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Memory is one small file of the data folder, for what must be remembered
// outside JetStream. It is for one user at a time.
type Memory struct{ Path string }

// Memory returns the file of that name, which need not be there yet.
func (f *Folder) Memory(name string) *Memory { return &Memory{Path: f.Path(name)} }

// OpenMemory returns the file at a path, for a process that reads it beside the bridge
// whose folder it is in.
func OpenMemory(path string) *Memory { return &Memory{Path: path} }

// Load returns what was saved last, or nothing.
func (m *Memory) Load() ([]byte, error) {
	text, err := os.ReadFile(m.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.Path, err)
	}
	return text, nil
}

// Save returns when the text is on the disk in place of what was there: whole or
// not at all, whenever the power goes.
func (m *Memory) Save(text []byte) error { return WriteFile(m.Path, text, 0o640) }
