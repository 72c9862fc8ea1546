package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A list that is watched is shown again and again, with what is wrong in its place, until
// Ctrl-C. A screen is cleared before; what goes elsewhere is not.
func TestWatch(t *testing.T) {
	t.Parallel()
	for _, screen := range []bool{true, false} {
		var asked atomic.Int64
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) == 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write([]byte(`{"consumers":[{"name":"billing","state":"failing"}]}`))
		}))
		t.Cleanup(api.Close)
		ctx, interrupt := context.WithCancel(t.Context())
		e, out, errOut := testEnv(), &safeBuffer{}, &safeBuffer{}
		e.ctx, e.stdout, e.stderr, e.screen, e.colours = ctx, out, errOut, screen, screen
		code := make(chan int, 1)
		go func() { code <- run([]string{"consumers", "list", "--watch", "--api", api.URL}, e) }()
		require.Eventually(t, func() bool { return strings.Count(out.String(), "billing") == 2 }, patience, watchEvery/100, out)
		interrupt()
		require.Equal(t, exitDone, <-code)
		require.Equal(t, screen, strings.Contains(out.String(), clearScreen))
		wrong := errOut
		if screen {
			wrong = out
		}
		require.Contains(t, wrong.String(), "503 Service Unavailable")
		require.Equal(t, screen, strings.Contains(out.String(), colour[bad]+"failing"))
	}
}

// Wrong use ends at once.
func TestWatchOfWrongUse(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"consumers", "list", "--watch", "extra"}, {"consumers", "pause", "billing", "--watch"}, {"alarms", "--watch", "--limit", "many"}} {
		code, _, stderr := runVerb(args...)
		require.Equal(t, exitUsage, code, args)
		require.NotEmpty(t, stderr)
	}
}
