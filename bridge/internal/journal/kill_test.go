package journal

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// child is a process that appends until it is killed. It prints what was acknowledged.
func child(dir string, first int) {
	fmt.Println("opening")
	j, err := Open(dir, Config{SegmentBytes: 64 << 10})
	if err != nil {
		panic(err)
	}
	var all sync.WaitGroup
	for sender := range 4 {
		all.Go(func() {
			for n := first + sender; ; n += 4 {
				r := record(n)
				if err := j.Append(context.Background(), r); err != nil {
					panic(err)
				}
				if _, err := fmt.Println("acknowledged", r.Sequence, n); err != nil {
					return
				}
			}
		})
	}
	all.Wait()
}

// runChild kills a child once it has printed a number of lines, and returns the records that
// were acknowledged, by sequence.
func runChild(t *testing.T, dir string, first, lines int) map[uint64]int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$", "--", "child", dir, strconv.Itoa(first))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	acked := map[uint64]int{}
	scan := bufio.NewScanner(out)
	for n := 0; scan.Scan(); n++ {
		var sequence uint64
		var number int
		if _, err := fmt.Sscanf(scan.Text(), "acknowledged %d %d", &sequence, &number); err == nil {
			acked[sequence] = number
		} else if !strings.HasPrefix(scan.Text(), "acknowledged") { // else the last line is cut
			require.Equal(t, "opening", scan.Text())
		}
		if n == lines {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait())
	return acked
}

// Processes are killed while they append, and while they recover from that.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	dir, acked := t.TempDir(), map[uint64]int{}
	for life, lines := range []int{400, 900, 0, 0, 1, 300, 0, 50} {
		for sequence, n := range runChild(t, dir, life*100_000, lines) {
			require.NotContains(t, acked, sequence, "given out twice")
			acked[sequence] = n
		}
	}
	require.Greater(t, len(acked), 1500)
	raised := &alarms{}
	j := open(t, dir, Config{Alarms: raised})
	got, _ := drain(t, j, 0)
	found, numbers := map[uint64]bool{}, map[string]bool{}
	for _, r := range got {
		require.False(t, numbers[r.Subject], "twice")
		numbers[r.Subject], found[r.Sequence] = true, true
		if n, ok := acked[r.Sequence]; ok {
			want := record(n)
			want.Sequence, want.At = r.Sequence, r.At
			require.Equal(t, *want, r)
		}
	}
	for sequence := range acked {
		require.True(t, found[sequence], "record %d was acknowledged", sequence)
	}
	require.Empty(t, raised.all)
}

// runAsChild reports whether this process is one, and has ended.
func runAsChild() bool {
	flag.Parse()
	if flag.Arg(0) != "child" {
		return false
	}
	first, err := strconv.Atoi(flag.Arg(2))
	if err != nil {
		panic(err)
	}
	child(flag.Arg(1), first)
	return true
}
