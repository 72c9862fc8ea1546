package smallfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for text, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "larger than 4 bytes", strings.Repeat("x", 1<<20): "larger than 4 bytes"} {
		name := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		got, err := Read(name, 4)
		if err != nil {
			require.ErrorContains(t, err, want)
			continue
		}
		require.Equal(t, want, string(got))
	}
	_, err := Read(filepath.Join(dir, "none"), 4)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Read(dir, 4)
	require.ErrorIs(t, err, syscall.EISDIR)
	_, err = Read("/dev/zero", 4)
	require.ErrorContains(t, err, "larger than 4 bytes")
}

func pipe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	return name
}

// A pipe is read to its end, also when its writer comes late and writes in parts.
func TestReadAPipe(t *testing.T) {
	t.Parallel()
	name := pipe(t)
	written := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // waits for the reader
		for _, part := range []string{"a", "bc"} {
			if err == nil {
				_, err = f.WriteString(part)
			}
		}
		written <- err
		_ = f.Close()
	}()
	got, err := Read(name, 4)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.Equal(t, "abc", string(got))
}

// A pipe to which nobody writes holds nobody up, whether somebody has it open or not.
func TestReadASilentPipe(t *testing.T) {
	t.Parallel()
	for _, opened := range []bool{false, true} {
		name := pipe(t)
		if opened {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			require.NoError(t, err)
			defer func() { _ = f.Close() }()
		}
		_, err := Read(name, 4)
		require.ErrorIs(t, err, ErrSilent)
	}
}
