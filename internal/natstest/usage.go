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

// Processor returns the processor time, user and system, of this process.
func Processor() time.Duration {
	var use unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &use) // fails only for wrong arguments
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// ForgetPeak returns free memory to the kernel, and resets the peak memory of this process. It
// needs Linux.
func ForgetPeak(t testing.TB) {
	t.Helper()
	debug.FreeOSMemory()
	require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
}

// PeakMiB returns the peak memory of this process since [ForgetPeak], in MiB.
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
