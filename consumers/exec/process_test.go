package exec

import (
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

// tree starts processes that start processes, all of which hold the pipe of their
// lives and ignore SIGTERM.
const tree = `trap '' TERM; exec 3>"$OUT/life"
	(sleep 60 & sleep 60 & (sleep 60 & sleep 60) & wait) &
	sh -c 'sleep 60 & sleep 60' &
	echo begun >&3; `

func TestEndOfTheContextEndsEveryProcess(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{
		"ignores SIGTERM":                      "wait; sleep 60",
		"ends by SIGTERM, its children do not": "trap - TERM; sleep 60",
		"stopped":                              "kill -STOP $$",
	} {
		b := setup(t, tree+last)
		b.killAfter = 10 * time.Millisecond
		l := b.life()
		end := b.start()
		l.begun()
		require.ErrorContains(t, end(), "the command was told to end", name)
		l.over()
		require.Empty(t, entries(t, b.dir), name)
	}
}

func TestWhatACommandLeavesIsKilled(t *testing.T) {
	t.Parallel()
	b := setup(t, tree+"exit 0")
	l := b.life()
	require.NoError(t, b.handle(newEvent("p")))
	l.begun()
	l.over()
}

// A command that ends in order after SIGTERM has not done what it was told before.
func TestToldToEndIsNotDone(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"0", "65"} {
		b := setup(t, `trap 'echo bye; exit `+code+`' TERM; echo begun >"$OUT/life"; while :; do sleep 0.01; done`)
		l := b.life()
		end := b.start()
		l.begun()
		err := end()
		require.ErrorContains(t, err, `the command was told to end: exit status `+code+`: "bye"`)
		require.False(t, consumers.IsPermanent(err))
	}
}

func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	b := setup(t, `touch "$OUT/ran"`)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(consumers.ErrStopping)
	require.ErrorIs(t, b.Handle(ctx, newEvent("p")), consumers.ErrStopping)
	require.Empty(t, entries(t, b.out))
}

// A process in another session cannot be reached, and holds up nothing.
func TestEscapedProcessHoldsNothingUp(t *testing.T) {
	t.Parallel()
	b := setup(t, `setsid sh -c 'echo $$ >"$OUT/x"; mv "$OUT/x" "$OUT/pid"; exec sleep 60' &
		while ! [ -e "$OUT/pid" ]; do sleep 0.01; done`)
	require.NoError(t, b.handle(newEvent("p")))
	pid, err := strconv.Atoi(strings.TrimSpace(b.read("pid")))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "the test is about one that lives")
}

func TestFloodOfOutput(t *testing.T) {
	t.Parallel()
	b := setup(t, `echo the beginning; head -c 52428800 /dev/zero | tee /dev/stderr; echo; echo the end; exit 1`)
	require.ErrorContains(t, b.handle(newEvent("p")), `exit status 1: "the end"`)
}

// A command does not outlive the process that started it, however that ends.
func TestKilledProcessLeavesNoCommand(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	l := b.life()
	self, err := os.Executable()
	require.NoError(t, err)
	bridge := osexec.Command(self, childHandle, filepath.Join(t.TempDir(), "exec"), `exec 3>"`+b.out+`/life"; echo begun >&3; exec sleep 60`)
	require.NoError(t, bridge.Start())
	l.begun()
	require.NoError(t, bridge.Process.Kill())
	_ = bridge.Wait()
	l.over()
}
