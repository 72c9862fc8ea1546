package telemetry_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/telemetry"
)

// writes keeps what each Write gets.
type writes struct {
	mu   sync.Mutex
	got  []string
	told chan struct{}
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, string(p))
	select {
	case w.told <- struct{}{}:
	default:
	}
	return len(p), nil
}

func TestLinesOfRequestsAreGathered(t *testing.T) {
	t.Parallel()
	w := &writes{told: make(chan struct{}, 1)}
	log, err := telemetry.NewLogger(telemetry.LogConfig{}, w, nil)
	require.NoError(t, err)
	log.Info(telemetry.RequestMessage, zap.Int("n", 1))
	<-w.told // nothing else is logged
	log.Info(telemetry.RequestMessage, zap.Int("n", 2))
	log.Error(telemetry.RequestMessage, zap.Int("n", 3))
	log.Info("stopped")
	lines := strings.Split(strings.TrimSpace(strings.Join(w.got, "")), "\n")
	require.Len(t, lines, 4)
	for i, want := range []string{`"n":1`, `"n":2`, `"n":3`, `"stopped"`} {
		require.Contains(t, lines[i], want, "in order")
	}
	require.Contains(t, w.got[len(w.got)-1], "stopped", "what is no request is not held back")
}

// Lines that come faster than they are due are written before they fill the memory.
func TestGatheredLinesAreBounded(t *testing.T) {
	t.Parallel()
	w := &writes{told: make(chan struct{}, 1)}
	log, err := telemetry.NewLogger(telemetry.LogConfig{}, w, nil)
	require.NoError(t, err)
	long := string(bytes.Repeat([]byte("x"), 1<<20))
	log.Info(telemetry.RequestMessage, zap.String("long", long))
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(t, w.got)
}
