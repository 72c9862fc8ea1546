package view

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A write to memory that is mapped from a file waits in the kernel while the disk hangs, and
// with it the whole process. Nothing is left of the index but memory.
func TestNoMemoryOfTheDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "p", finished))
	x.folded()
	require.NotEmpty(t, x.rows())
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	index := 0
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "rw-s" {
			continue
		}
		require.NotContains(t, line, r.dir)
		if strings.Contains(fields[5], vfsName) {
			index++
			require.Contains(t, line, "(deleted)")
		}
	}
	require.NotZero(t, index)
	require.NoFileExists(t, filepath.Join(r.dir, "view.db-shm"))
}
