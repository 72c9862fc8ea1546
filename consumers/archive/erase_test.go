package archive

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Everything of a prediction leaves an archive, of every day and of every event, and nothing
// else does: not of an id that begins alike, nor of the same id of another source.
func TestErase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bucket := newBucket(t)
	for name, c := range map[string]Config{"disk": {Location: Location{Dir: dir}}, "bucket": {Location: bucket.location(t), AllowPrivate: true}} {
		s, err := openStore(c.withDefaults())
		require.NoError(t, err, name)
		stays := []string{"get3w/2026/01/02/pred_12/0.png", "get3w/2026/01/02/pred_12.abc/0.png", "other/2026/01/02/pred_1/0.png", "get3w/2026/01/02/pred=2F1/0.png"}
		goes := []string{"get3w/2026/01/02/pred_1/0.png", "get3w/2026/01/02/pred_1/manifest.json", "get3w/2026/01/02/pred_1.abc/0.png", "get3w/2025/12/31/pred_1/event.json"}
		for _, key := range append(stays, goes...) {
			require.NoError(t, s.put(t.Context(), file{key: key}, false, []byte(key)), name)
		}
		of := []Prediction{{"get3w", "pred_1"}, {"get3w", "pred_unknown"}, {"nobody", "pred_1"}}
		for _, want := range []struct {
			dryRun bool
			files  int
		}{{true, 4}, {false, 4}, {true, 0}, {false, 0}} {
			n, err := Erase(t.Context(), c, of, want.dryRun)
			require.NoError(t, err, name)
			require.Equal(t, want.files, n, name)
		}
		for _, key := range stays {
			_, err := s.get(t.Context(), key)
			require.NoError(t, err, "%s: %s", name, key)
		}
		for _, key := range goes {
			_, err := s.get(t.Context(), key)
			require.ErrorIs(t, err, os.ErrNotExist, "%s: %s", name, key)
		}
		require.NoError(t, s.close())
	}
	require.NoDirExists(t, filepath.Join(dir, "get3w/2026/01/02/pred_1"), "its name tells of the prediction")
}

// A folder of another machine is said to be one: it is not made here and called clean.
func TestEraseElsewhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "archive")
	_, err := Erase(t.Context(), Config{Location: Location{Dir: dir}}, []Prediction{{"get3w", "pred_1"}}, false)
	require.ErrorIs(t, err, errElsewhere)
	require.NoDirExists(t, dir)
}
