//go:build linux

package telemetry_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge/internal/telemetry"
)

// A terminal gets the format for people, and a file the one for programs, unless the
// configuration says which.
func TestFormatFollowsWhoReads(t *testing.T) {
	master, terminal := openTerminal(t)
	shown := bufio.NewReader(master)
	for format, isJSON := range map[string]bool{"": false, telemetry.FormatConsole: false, telemetry.FormatJSON: true} {
		log, err := telemetry.NewLogger(telemetry.LogConfig{Format: format}, terminal, nil)
		require.NoError(t, err)
		log.Info("hello")
		line, err := shown.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, isJSON, line[0] == '{', "format %q: %s", format, line)
		require.Contains(t, line, "hello")
	}
	file, err := os.CreateTemp(t.TempDir(), "log")
	require.NoError(t, err)
	log, err := telemetry.NewLogger(telemetry.LogConfig{}, file, nil)
	require.NoError(t, err)
	log.Info("hello")
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(text, []byte("{")), "%s", text)
	require.NoError(t, file.Close())
}

// openTerminal returns both ends of a new terminal: what is written to the second is read from
// the first.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return master, terminal
}
