package view

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A write to memory that is mapped from a file waits in the kernel while the disk hangs, and
// with it the whole process. Of the index nothing stays but memory, once the views of this
// process are open.
func TestNoMemoryOfTheDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "p", finished))
	x.folded()
	require.NotEmpty(t, x.rows())
	mapped := func() (shared []string) {
		maps, err := os.ReadFile("/proc/self/maps")
		require.NoError(t, err)
		for line := range strings.Lines(string(maps)) {
			if fields := strings.Fields(line); len(fields) > 5 && fields[1] == "rw-s" {
				shared = append(shared, strings.Join(fields[5:], " "))
			}
		}
		return shared
	}
	indexes := 0
	for _, file := range mapped() {
		require.NotContains(t, file, r.dir)
		if strings.Contains(file, vfsName) {
			indexes++
		}
	}
	require.NotZero(t, indexes)
	require.NoFileExists(t, filepath.Join(r.dir, "view.db-shm"))
	r.eventually(func() bool {
		for _, file := range mapped() {
			if strings.Contains(file, vfsName) && !strings.HasSuffix(file, "(deleted)") {
				return false
			}
		}
		return true
	}, "an index that has a file")
}
