package datafolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Memory is one small file of the data folder, for state outside JetStream. It is not safe for
// concurrent use.
type Memory struct{ Path string }

// Memory returns the file of that name, which need not exist.
func (f *Folder) Memory(name string) *Memory { return &Memory{Path: f.Path(name)} }

// OpenMemory returns the file at path, for a process other than the holder of the folder.
func OpenMemory(path string) *Memory { return &Memory{Path: path} }

// Load returns the saved text, nil if there is none.
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

// Save replaces the text and returns when the new one is on the disk; see [WriteFile].
func (m *Memory) Save(text []byte) error { return WriteFile(m.Path, text, 0o640) }
