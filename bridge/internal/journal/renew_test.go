package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is settled leaves the disk when the journal is renewed, although its file is not full;
// what waits stays, and is there for the next process.
func TestRenewRemovesWhatIsSettled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := Open(dir, Config{})
	require.NoError(t, err)
	record := func(n int) *Record {
		return &Record{Stream: "S", Subject: "s", Header: map[string][]string{"Nats-Msg-Id": {fmt.Sprint(n)}}, Body: fmt.Appendf(nil, "body-of-%d;", n)}
	}
	for n := 1; n <= 3; n++ {
		require.NoError(t, j.Append(t.Context(), record(n)))
	}
	waiting, err := j.Renew(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, waiting)
	old, err := j.Old()
	require.NoError(t, err)
	require.True(t, old)

	j.Settle(2, nil)
	waiting, err = j.Renew(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, waiting, "the file has one that waits")
	require.True(t, onDisk(t, dir, "body-of-3;"))

	j.Settle(3, nil)
	require.NoError(t, j.Append(t.Context(), record(4)))
	waiting, err = j.Renew(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, waiting)
	require.False(t, onDisk(t, dir, "body-of-1;"))
	require.False(t, onDisk(t, dir, "body-of-3;"))
	require.NoError(t, j.Append(t.Context(), record(5)))
	require.NoError(t, j.Close())

	j, err = Open(dir, Config{})
	require.NoError(t, err)
	var bodies []string
	require.NoError(t, j.Each(t.Context(), func(r Record) error { bodies = append(bodies, string(r.Body)); return nil }))
	require.Equal(t, []string{"body-of-4;", "body-of-5;"}, bodies)
	j.Settle(j.State().Last, nil)
	waiting, err = j.Renew(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting)
	old, err = j.Old()
	require.NoError(t, err)
	require.False(t, old)
	require.False(t, onDisk(t, dir, "body-of-5;"))
	require.NoError(t, j.Close())
}

// Records that are set aside are found and removed by what they hold.
func TestDropAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := Open(dir, Config{})
	require.NoError(t, err)
	for n := range uint64(3) {
		require.NoError(t, j.SetAside(Record{Sequence: n + 1, Stream: "S", Subject: "s", Body: fmt.Appendf(nil, "body-of-%d;", n)}, "too large"))
	}
	one := func(r *Record) bool { return string(r.Body) == "body-of-1;" }
	for _, keep := range []bool{true, false} {
		n, err := j.DropAside(one, keep)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	n, err := j.DropAside(one, true)
	require.NoError(t, err)
	require.Zero(t, n)
	require.False(t, onDisk(t, dir, "body-of-1;"))
	require.Equal(t, 2, j.State().SetAside)
	require.NoError(t, j.Close())
}

func onDisk(t *testing.T, dir, text string) (found bool) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	}))
	return found
}
