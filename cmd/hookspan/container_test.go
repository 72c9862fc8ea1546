package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// firstProcess has the command run as process 1 of a PID namespace of its own, as it
// does in a container whose entry point it is.
func firstProcess(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	return cmd
}

// later is a part of a message that is made when the message is written, which is after
// what was waited for did not come.
type later func() any

func (l later) String() string { return fmt.Sprint(l()) }

// children returns the processes whose parent is pid, each with its state.
func children(t *testing.T, pid int) map[int]string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	found := map[int]string{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name is in parentheses and may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			require.NoError(t, err)
			found[child] = fields[0]
		}
	}
	return found
}

// Processes that commands of exec leave behind do not stay as zombies where the bridge is
// process 1: neither orphans that end by themselves, in a session of their own, nor those that
// are killed with the command's group.
func TestOrphansAreReapedByProcess1(t *testing.T) {
	t.Parallel()
	const events = 8
	dir, out := t.TempDir(), t.TempDir()
	config := strings.ReplaceAll(smallConfig, "consumers: {archive: {enabled: false}}", "") + `
consumers:
  archive: {enabled: false}
  orphans:
    kind: exec
    start: all
    command: [/bin/sh, -c, 'setsid sh -c "exec 3>$0/$HOOKSPAN_PREDICTION_ID" & sleep 60 & wait $!', "` + out + `"]
    timeout: 1s
    concurrency: 8
    retry: {first: 1h, max: 1h}
  quick:
    kind: exec
    start: all
    command: [/bin/sh, -c, 'f=$0/quick-$HOOKSPAN_PREDICTION_ID; setsid sh -c "exec 3>$f" & sleep 60 & until [ -e $f ]; do sleep 0.01; done', "` + out + `"]
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(config), 0o600))
	p := start(t, dir, firstProcess(command(t, dir, "--json", "serve", "--config", "hookspan.yaml")))
	for i := range events {
		status, text := p.post(killBody(fmt.Sprintf("pred_%d", i)))
		require.Equal(t, 200, status, text)
	}
	require.Eventually(t, func() bool {
		ended, err := os.ReadDir(out)
		return err == nil && len(ended) == 2*events
	}, patience, 10*time.Millisecond, p.logs)
	// The bridge itself is the one child that stays.
	require.Eventually(t, func() bool { return len(children(t, p.cmd.Process.Pid)) == 1 }, patience, 10*time.Millisecond,
		"children of process 1 that are never reaped: %v", later(func() any { return children(t, p.cmd.Process.Pid) }))
	for _, state := range children(t, p.cmd.Process.Pid) {
		require.NotEqual(t, "Z", state)
	}
	require.Equal(t, 0, p.stop(), p.logs)
	require.Contains(t, p.logs.String(), `"stopping"`)
}

// Process 1 passes signals on, and ends as the program does.
func TestProcess1EndsAsTheProgramDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(smallConfig), 0o600))
	serveAs1 := func() *program {
		return start(t, dir, firstProcess(command(t, dir, "--json", "serve", "--config", "hookspan.yaml")))
	}
	p := serveAs1()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(p.logs.String(), "the configuration was read again") }, patience, 10*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 0, p.wait(), p.logs)

	p = serveAs1()
	for bridge := range children(t, p.cmd.Process.Pid) {
		require.NoError(t, syscall.Kill(bridge, syscall.SIGKILL))
	}
	require.Equal(t, 128+int(syscall.SIGKILL), p.wait())

	for verb, code := range map[string]int{"version": 0, "no-such-verb": exitUsage, "config check missing.yaml": exitFailed} {
		cmd := firstProcess(command(t, dir, strings.Fields(verb)...))
		_ = cmd.Run() // its exit code says it
		require.Equal(t, code, cmd.ProcessState.ExitCode(), verb)
	}
}

// status returns a field of a process's status.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "\n"+field+":")
	require.True(t, found, field)
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// No terminal stops the program (Ctrl-Z), since in a container nothing could continue it. A
// program that was stopped all the same ends when it is told to.
func TestStoppedProgramEndsWhenToldTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(smallConfig), 0o600))
	p := start(t, dir, firstProcess(command(t, dir, "--json", "serve", "--config", "hookspan.yaml")))
	for bridge := range children(t, p.cmd.Process.Pid) {
		ignored, err := strconv.ParseUint(status(t, bridge, "SigIgn"), 16, 64)
		require.NoError(t, err)
		for _, s := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
			require.NotZero(t, ignored&(1<<(s-1)), s)
			require.NoError(t, syscall.Kill(bridge, s))
		}
		code, text := p.post(killBody("pred_1"))
		require.Equal(t, 200, code, text)
		require.NoError(t, syscall.Kill(bridge, syscall.SIGSTOP))
		require.Eventually(t, func() bool { return strings.HasPrefix(status(t, bridge, "State"), "T") }, patience, time.Millisecond)
	}
	require.Equal(t, 0, p.stop(), p.logs)
}
