package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// What is erased leaves the files of the view too, however its pages were split before; other
// predictions keep their rows. Ids that are too short to be searched for are no exception.
func TestErasedLeavesTheFiles(t *testing.T) {
	t.Parallel()
	const n = 400
	r := newRig(t)
	id := func(i int) string {
		if i%100 == 7 {
			return fmt.Sprint(i)
		}
		sum := sha256.Sum256(fmt.Append(nil, i))
		return "pred_" + hex.EncodeToString(sum[:8])
	}
	reference := func(i int) string { return "reference-of-" + id(i) }
	for i := range n {
		r.publish(watched(t, id(i), bridge.Watch{Reference: reference(i), Tenant: fmt.Sprint("tenant-", i%3)}), says(t, id(i), running), says(t, id(i), finished))
	}
	x := r.start("view.db")
	x.folded()
	files := func() []byte {
		var all []byte
		for _, suffix := range []string{"", "-wal"} {
			data, err := os.ReadFile(filepath.Join(r.dir, "view.db"+suffix))
			require.NoError(t, err)
			all = append(all, data...)
		}
		return all
	}
	require.True(t, bytes.Contains(files(), []byte(id(0))))
	var keys []Key
	for i := 0; i < n; i += 4 {
		keys = append(keys, Key{"get3w", id(i)})
	}
	keys = append(keys, Key{"get3w", "7"}, Key{"get3w", "unknown"})
	rows, err := x.CountErased(t.Context(), keys)
	require.NoError(t, err)
	require.Equal(t, n/4+1, rows)
	rows, err = x.Erase(t.Context(), keys, nil)
	require.NoError(t, err)
	require.Equal(t, n/4+1, rows)
	have := files()
	for i := range n {
		if i%4 == 0 || id(i) == "7" {
			require.False(t, len(id(i)) > 3 && bytes.Contains(have, []byte(id(i))), i)
			require.False(t, bytes.Contains(have, []byte(reference(i)+`"`)), i)
			continue
		}
		require.Equal(t, reference(i), x.state(id(i)).Announced.Reference)
	}
	rows, err = x.CountErased(t.Context(), keys)
	require.NoError(t, err)
	require.Zero(t, rows)

	// As a process that has heard of it from another one.
	require.NoError(t, x.EraseAll(t.Context(), func(source, prediction string) bool { return source == "get3w" && prediction == id(1) }))
	_, err = x.Prediction(t.Context(), "get3w", id(1))
	require.ErrorIs(t, err, bridge.ErrNotFound)
	require.False(t, bytes.Contains(files(), []byte(id(1))))
	x.state(id(2))
}

// Nothing of an erased prediction is folded, also by a view that is made anew, and whoever is to
// remove it is told where it is. The event that tells of an erasure is no prediction.
func TestErasedIsNotFolded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	told := bridge.Erased{Source: "get3w", Hash: bridge.ErasedHash("get3w", "gone")}
	erased, err := told.Event("get3w/flux-dev")
	require.NoError(t, err)
	last := r.publish(says(t, "gone", running), says(t, "stays", running), erased, says(t, "gone", finished))
	r.kills("team", says(t, "gone", finished))
	var events, dead atomic.Uint64
	x := r.start("view.db", func(c *Config) {
		c.Erased = func(stream string, seq uint64, source, prediction string) bool {
			if source != "get3w" || prediction != "gone" {
				return false
			}
			if stream == r.Names.DeadStream() {
				dead.Add(1)
			} else {
				events.Store(seq)
			}
			return true
		}
	})
	x.folded()
	require.Equal(t, []string{"stays"}, x.all(Query{}))
	require.Equal(t, last.Sequence, events.Load())
	require.NotZero(t, dead.Load())
	require.Zero(t, x.count("dead"))
	require.Equal(t, 1, x.count("events"))
}
