package datafolder

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFolderIsForOneProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	_, err := ReadHolder(dir)
	require.ErrorIs(t, err, ErrNotRunning)

	f, err := Open(dir)
	require.NoError(t, err)
	_, err = Open(dir)
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, dir)

	require.NoError(t, f.Announce(Holder{PID: 7, NATSURL: "nats://127.0.0.1:4222"}))
	h, err := ReadHolder(dir)
	require.NoError(t, err)
	require.Equal(t, Holder{PID: 7, NATSURL: "nats://127.0.0.1:4222"}, h)

	require.NoError(t, f.Close())
	_, err = ReadHolder(dir)
	require.ErrorIs(t, err, ErrNotRunning)
	f, err = Open(dir)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestFolderFormat(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"2\n": "newer", "x\n": "not a number", "1\n": ""} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "format"), []byte(text), 0o600))
		f, err := Open(dir)
		if want == "" {
			require.NoError(t, err)
			require.NoError(t, f.Close())
			continue
		}
		require.ErrorContains(t, err, want)
		_, err = ReadHolder(dir)
		require.ErrorIs(t, err, ErrNotRunning, "the lock is given back")
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{filepath.Join(file, "data"), "/proc/hookspan"} {
		_, err := Open(dir)
		require.ErrorContains(t, err, "data_dir")
	}
}

func TestFolderSecrets(t *testing.T) {
	t.Parallel()
	f, err := Open(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	_, err = ReadSecret(f.Dir(), "app")
	require.ErrorIs(t, err, fs.ErrNotExist)
	one, err := f.Secret("app")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(one), 26)
	again, err := f.Secret("app")
	require.NoError(t, err)
	require.Equal(t, one, again)
	other, err := f.Secret("other")
	require.NoError(t, err)
	require.NotEqual(t, one, other)

	path := filepath.Join(f.Dir(), "secrets", "app")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	require.NoError(t, os.WriteFile(path, []byte(" \n"), 0o600))
	_, err = f.Secret("app")
	require.ErrorContains(t, err, "is empty", "an empty password lets anybody in")
}

func TestErrorsOfWriteFileNameTheFile(t *testing.T) {
	t.Parallel()
	err := WriteFile(filepath.Join(t.TempDir(), "missing", "x"), nil, 0o600)
	require.ErrorContains(t, err, "missing/x")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
