//go:build unix

package natstest

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Processor returns the processor time, user and system, that this process has used.
func Processor() time.Duration {
	var use unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &use) // it fails for wrong arguments alone
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// ForgetPeak gives free memory back to the kernel, and has it forget the most memory
// that this process ever had. It needs Linux.
func ForgetPeak(t testing.TB) {
	t.Helper()
	debug.FreeOSMemory()
	require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
}

// PeakMiB returns the most memory, in MiB, that this process had since [ForgetPeak].
func PeakMiB(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib float64
	_, err = fmt.Sscanf(rest, "%f kB", &kib)
	require.NoError(t, err)
	return kib / 1024
}
